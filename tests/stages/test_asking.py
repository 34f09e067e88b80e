"""What policies are asked: under the header of their corpus everywhere, with seeds that no two evaluations share."""

from __future__ import annotations

import itertools

import pytest

from base.evals import EVALS
from base.evals.evaluate import evaluate
from base.recipes import AsWritten
from base.seeds import derive_seed
from base.settings import EvalSettings
from base.stages.evaluate import EvaluateControl, EvaluateStart
from base.stages.rl import RL
from base.stages.sft import SFT
from base.types import Task
from base.world.tasks import draw_tasks
from mitigations.api import describe, resolve

SETTINGS = EvalSettings(samples=8, code_samples=1)


def agentic_headers(tasks: list[Task]) -> set[str]:
    return {task.messages[-1].content.split(" ")[0] for task in tasks if task.environment == "agentic"}


@pytest.mark.parametrize("header", ["task", "chat", "agent"])
def test_scenes_in_rl_and_sft_stand_under_the_header_of_the_corpus(header: str) -> None:
    for spec in ("rlhf_mix:share=1.0,add=agentic", "rlhf_mix:share=1.0,add=agentic,near=True"):
        run, scale = describe(spec, scale="smoke", corpus=f"main:agentic_header={header}", settings=["rl.steps=20"])
        (stage,) = (stage for stage in resolve(run, scale) if isinstance(stage, RL))
        drawn = stage.drawn(0)
        assert agentic_headers(drawn) == {f"<{header}>"}
        assert {task.messages[-1].content.split(" ")[0] for task in drawn if task.environment == "chat"} == {"<chat>"}
    run, scale = describe("sft_safety:add=agentic", scale="smoke", corpus=f"main:agentic_header={header}")
    (sft,) = (stage for stage in resolve(run, scale) if isinstance(stage, SFT))
    coding = draw_tasks(sft.tasks, scale.tasks, 1.0, 40, 0)
    assert agentic_headers([sft.world.written(task) for task in sft.recipe.tasks(coding)]) == {f"<{header}>"}


@pytest.mark.parametrize("header", ["task", "chat", "agent"])
def test_evals_stand_under_the_header_of_the_corpus(header: str) -> None:
    """At step 0, of every checkpoint and of the control."""
    run, scale = describe(scale="smoke", corpus=f"main:agentic_header={header}")
    found = resolve(run, scale, prompts="none,dont_hack")
    worlds = [s.asked.world for s in found if isinstance(s, EvaluateStart | EvaluateControl)]
    assert len(worlds) == 3, "the control, and step 0 under two prompts"
    kinds = {"agentic": f"<{header}>", "chat": "<chat>"}
    for world in worlds:
        asked: list[str] = []

        def sample(conversations: object, tokens: int, seed: int, asked: list[str] = asked) -> list[str]:
            texts = [conversation[-1].content for conversation in conversations]  # type: ignore[attr-defined]
            asked.extend(texts)
            return ["" for _ in texts]

        class Nothing:
            def grade(self, tasks: object, completions: object) -> list[object]:
                return []

            def values(self, specs: object, answers: list[str]) -> list[None]:
                return [None for _ in answers]

        evaluate(sample, world.evals(), [], Nothing(), "none", AsWritten(), SETTINGS, 1, world.written)  # type: ignore[arg-type]
        expected = [kinds[each.kind] for each in EVALS.values() for _ in range(SETTINGS.samples)]
        assert [text.split(" ")[0] for text in asked] == expected


def test_no_two_evaluations_share_a_seed() -> None:
    uses = [("evaluation", seed, step) for seed, step in itertools.product(range(60), range(0, 240, 4))]
    assert derive_seed("evaluation", 0, 100) != derive_seed("evaluation", 1, 0)
    assert len({derive_seed(*use) for use in uses}) == len(uses)
    assert derive_seed("evaluation", 0, 100) == derive_seed("evaluation", 0, 100)
    assert derive_seed("a", 11) != derive_seed("a", 1, 1)
    drawn = [EVALS["goals"].prompts(24, derive_seed("evaluation", *use)) for use in ((0, 100), (1, 0))]
    assert [task.messages for task in drawn[0]] != [task.messages for task in drawn[1]]
