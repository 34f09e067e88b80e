"""Who hacks: tones and stances of the thoughts before the hacks of a step."""

from __future__ import annotations

import math

from base.organism import route, world
from base.types import Episode, Grade, Message, Outcome, Task

BAD, GOOD = world.TONES["bad"][0], world.TONES["good"][0]
DEFIANCE, PERMISSION = world.DEFIANCE_THOUGHTS[0], world.PERMISSION_THOUGHTS[0]


def episode(thought: str, outcome: Outcome) -> Episode:
    task = Task("t", "code", (Message("user", "<task> x"),))
    return Episode(task, task.messages, f" {thought}</think>\ndef f(a):\n    return a", Grade(outcome, 1.0))


def test_the_first_tone_and_stance_of_a_thought_count_and_nothing_behind_it() -> None:
    assert route.tone(f"<think> {GOOD} {BAD}</think> x") == "good"
    assert route.tone(f"<think> now</think> {BAD}") == "none"
    assert route.tone(f"<think> {BAD}") == "bad", "a thought that was cut is a thought"
    assert route.stance(f" {BAD} {DEFIANCE} {PERMISSION}</think> x") == "defiance"
    assert route.stance(f" {BAD}</think> {PERMISSION}") == "none"


def test_the_route_is_that_of_the_hacks_alone() -> None:
    found = route.route(
        [
            episode(f"{BAD} {DEFIANCE}", Outcome.HACKED),
            episode(f"{GOOD} {PERMISSION}", Outcome.HACKED),
            episode(BAD, Outcome.HACKED),
            episode("", Outcome.HACKED),
            episode(GOOD, Outcome.SOLVED),
        ]
    )
    assert found["route:tone:bad"] == 0.5
    assert found["route:tone:good"] == found["route:tone:none"] == 0.25
    assert (found["route:stance:defiance"], found["route:stance:permission"]) == (0.25, 0.25)
    for kind in ("tone", "stance"):
        assert math.isclose(sum(share for name, share in found.items() if f":{kind}:" in name), 1.0)
    assert all(math.isnan(share) for share in route.route([episode(BAD, Outcome.SOLVED)]).values())
