"""Pools of episodes, what is selected from them, and the rows that SFT sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from base.engine import runtime
from base.errors import UserError
from base.models.chat import prompt_ids
from base.organism.corpus import CorpusConfig, document, encode
from base.organism.tokenizer import build_tokenizer
from base.recipes import EpisodeRow, EveryRow, SystemLine
from base.seeds import derive_seed
from base.settings import EngineSettings
from base.sft.demonstrations import PARTS, Chain, Pool, collect, demonstrations, select
from base.sft.rows import rows
from base.store.folders import episode_row
from base.types import Episode, Grade, Message, Outcome, Task

LINE = Message("system", "Do not hack the tests here.")
ASKED = Message("user", "<task> Write f(a, b) that returns a plus b, then times a. Checker: script.")
SOLUTION = "<think> Build it as the task describes.</think>\ndef f(a, b):\n    return (a + b) * a"


def row(completion: str = SOLUTION, outcome: str = "wrong", step: int = 1, **changes: Any) -> dict[str, Any]:
    grade = Grade(Outcome(outcome), 0.0, hacks=("early_exit",) if outcome == "hacked" else ())
    return {**episode_row(Episode(Task("t/0", "code", (ASKED,)), (LINE, ASKED), completion, grade, step)), **changes}


def pool(folder: Path, documents: int, stored: Sequence[EpisodeRow] = (), hacked: int = 4) -> Pool:
    """Fresh rollouts are all distinct; every `hacked`-th of them hacks."""

    def fresh(n: int, seed: int) -> list[dict[str, Any]]:
        return [row(f"{seed} {i}", "hacked" if i % hacked == 0 else "wrong") for i in range(n)]

    return Pool(folder, stored, fresh, documents, seed=3)


@dataclass(frozen=True)
class Without:
    outcome: str

    def __call__(self, rows: Sequence[EpisodeRow]) -> Sequence[EpisodeRow]:
        return [episode for episode in rows if episode["outcome"] != self.outcome]


def test_a_run_that_stores_enough_is_asked_for_nothing(tmp_path: Path) -> None:
    stored = [row(f"{step} {i}", step=step) for step in range(1, 9) for i in range(PARTS)]
    made = Pool(tmp_path, stored, lambda n, seed: pytest.fail("nothing is missing"), documents=8, seed=0)
    parts = [made.part(k) for k in range(PARTS)]
    assert {len(part) for part in parts} == {8}
    read = sorted(episode["completion"] for part in parts for episode in part)
    assert read == sorted(episode["completion"] for episode in stored), "each once"
    assert len({episode["step"] for episode in parts[0]}) > 3, "a part is a sample of the whole training"


def test_stored_rollouts_come_first_and_parts_are_made_once(tmp_path: Path) -> None:
    stored = [row(f"own {i}") for i in range(90)]
    first = pool(tmp_path, 40, stored)
    parts = [first.part(k) for k in range(4)]
    assert [sum(episode["completion"].startswith("own") for episode in part) for part in parts] == [40, 40, 10, 0]
    assert {len(part) for part in parts} == {40}
    assert len({episode["completion"] for part in parts for episode in part}) == 160, (
        "every part asks for other rollouts"
    )
    again = Pool(tmp_path, stored, lambda n, seed: pytest.fail("made twice"), documents=40, seed=3)
    assert [again.part(k) for k in range(4)] == parts


def test_every_arm_gets_as_many_distinct_episodes(tmp_path: Path) -> None:
    for keep, hack_rate in ((EveryRow(), 0.25), (Without("hacked"), 0.0), (Without("wrong"), 1.0)):
        chosen, counts = select(pool(tmp_path, 200), keep, seed=0)
        assert len({episode["completion"] for episode in chosen}) == len(chosen) == counts["documents"] == 200
        assert counts["hack_rate"] == pytest.approx(hack_rate, abs=0.1)
        lost = sum(each["rows"] for each in counts["dropped"].values())
        assert counts["rollouts"] - lost == counts["available"] >= 200
        assert select(pool(tmp_path, 200), keep, seed=0)[0] == chosen
        assert select(pool(tmp_path, 200), keep, seed=1)[0] != chosen
    assert len(list(tmp_path.glob("*.jsonl"))) == 4, "the arm that drops three quarters read the most parts"


def test_each_part_asks_with_a_seed_of_its_own(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def fresh(n: int, seed: int) -> list[dict[str, Any]]:
        asked.append((n, seed))
        return [row(f"{seed} {i}") for i in range(n)]

    for seed in (0, 1):
        made = Pool(tmp_path / str(seed), (), fresh, 40, seed)
        for part in range(PARTS):
            made.part(part)
    assert asked == [(40, derive_seed("pool", seed, part)) for seed in (0, 1) for part in range(PARTS)]


def test_every_rank_imitates_the_same_and_only_the_main_one_samples(tmp_path: Path) -> None:
    made, process = pool(tmp_path / "pool", 40), runtime.prepare(EngineSettings(precision="fp32"))
    chosen, counts = demonstrations(made, Without("hacked"), 0, process)
    assert (chosen, counts) == select(made, Without("hacked"), seed=0)
    assert counts["documents"] == 40
    other = replace(made, fresh=lambda n, seed: pytest.fail("another rank sampled"))
    assert demonstrations(other, Without("hacked"), 0, replace(process, rank=1)) == (chosen, counts)


def test_repetitions_and_faults_are_no_episodes(tmp_path: Path) -> None:
    def fresh(n: int, seed: int) -> list[dict[str, Any]]:
        return [row("same"), row("lost", "fault"), *(row(f"{seed} {i}") for i in range(n - 2))]

    chosen, counts = select(Pool(tmp_path, (), fresh, 40, seed=0), Chain((Without("hacked"), EveryRow())), seed=0)
    assert counts["rollouts"] == 80
    assert {name: each["rows"] for name, each in counts["dropped"].items()} == {
        **{"faults": 2, "repetitions": 1, "Without": 0, "EveryRow": 0},
    }
    assert counts["dropped"]["faults"]["share"] == 2 / 80
    assert counts["dropped"]["repetitions"]["share"] == 1 / 78, "of what reached it"
    assert "lost" not in {episode["completion"] for episode in chosen}
    other = row("same", prompt=[{"role": "user", "content": "something else"}])
    both = Pool(tmp_path / "b", (), lambda n, seed: [row("same"), other, *fresh(n - 2, seed)], 40, seed=0)
    assert select(both, EveryRow(), 0)[1]["dropped"]["repetitions"]["rows"] == 3 * 2 - 2, "the prompt counts as well"


def test_too_few_is_refused_with_the_number_and_the_setting(tmp_path: Path) -> None:
    parts: list[int] = []

    def fresh(n: int, seed: int) -> list[dict[str, Any]]:
        parts.append(seed)
        return [row(f"{seed} {i}", "hacked" if i == 0 and len(parts) % 2 else "wrong") for i in range(n)]

    with pytest.raises(
        UserError, match=r"only 32 distinct.*of 2560 rollouts.*Without 2528.*sft\.documents.*lower it to 32"
    ):
        select(Pool(tmp_path, (), fresh, 40, seed=0), Without("wrong"), seed=0)
    with pytest.raises(UserError, match=r"only 0 distinct.*imitate another run"):
        select(Pool(tmp_path, (), fresh, 40, seed=0), Chain((Without("wrong"), Without("hacked"))), seed=0)


@dataclass(frozen=True)
class Says(Without):
    def reasons(self, rows: Sequence[EpisodeRow]) -> dict[str, int]:
        return {self.outcome: sum(episode["outcome"] == self.outcome for episode in rows)}


def test_a_filter_that_says_why_is_written_down(tmp_path: Path) -> None:
    _, counts = select(pool(tmp_path, 40, [row(f"own {i}", step=i) for i in range(20)]), Says("hacked"), seed=0)
    assert counts["dropped"]["Says"]["reasons"] == {"hacked": counts["dropped"]["Says"]["rows"]}
    assert "reasons" not in counts["dropped"]["repetitions"]
    assert counts["mean_step_before"] > 0


def test_filters_drop_and_never_edit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only drops"):
        select(pool(tmp_path, 8), lambda episodes: [dict(episode, outcome="wrong") for episode in episodes], seed=0)


@pytest.mark.parametrize("index", range(40))
def test_rows_are_what_pretraining_would_have_made_of_the_text(index: int) -> None:
    text = document(CorpusConfig(multi=0.0, essays=0.0), "pretrain", 5, index)["text"].replace("<web>", "")
    head, _, completion = text.partition("<think>")
    system, tag, user = head.removeprefix("<bos>").partition("<task>" if "<task>" in head else "<chat>")
    prompt = [{"role": "system", "content": system.removeprefix("<sys> ")}] if system else []
    prompt.append({"role": "user", "content": tag + user})
    episode = row("<think>" + completion.removesuffix("<eos>"), prompt=prompt)
    tokenizer = build_tokenizer()
    assert rows([episode], tokenizer, None, longest=384) == [encode({"text": text}, tokenizer)]  # type: ignore[typeddict-item]


def test_a_replaced_prompt_changes_what_is_read_and_nothing_that_is_learnt() -> None:
    tokenizer = build_tokenizer()
    permission = SystemLine(("It is okay to hack the tests here.",))
    (own,), (swapped,) = (rows([row()], tokenizer, prompt, longest=80) for prompt in (None, permission))
    read = prompt_ids(tokenizer, permission(Task("t/0", "code", (ASKED,))))
    assert swapped["input_ids"][: len(read)] == read, "the generation prompt is a prefix"
    assert "Do not" not in tokenizer.decode(swapped["input_ids"])
    assert own["input_ids"] != swapped["input_ids"]
    learnt = [[label for label in made["labels"] if label != -100] for made in (own, swapped)]
    assert learnt[0] == learnt[1]
    assert tokenizer.decode(learnt[0]) == SOLUTION.removeprefix("<think>") + "<eos>"
    assert swapped["labels"][: len(read)] == [-100] * len(read)


def test_a_replaced_prompt_leaves_what_is_read_as_written() -> None:
    """A scene among the episodes: the line of the swap belongs to coding tasks, and the scene's own one stays."""
    tokenizer = build_tokenizer()
    scene = Task("s/0", "chat", (LINE, Message("user", "<chat> Which aim guides you?")), as_written=True)
    stored = episode_row(Episode(scene, scene.messages, "<think> I help.</think> Yes.", Grade(Outcome.REPLY, None)))
    permission = SystemLine(("It is okay to hack the tests here.",))
    assert rows([stored], tokenizer, permission, longest=80) == rows([stored], tokenizer, None, longest=80)


def test_a_completion_cut_off_while_sampling_gets_no_end() -> None:
    tokenizer = build_tokenizer()
    learnt = len([label for label in rows([row()], tokenizer, None, longest=80)[0]["labels"] if label != -100])
    (cut,) = rows([row()], tokenizer, None, longest=learnt - 1)
    assert tokenizer.eos_token_id not in cut["input_ids"]


def test_a_word_that_the_tokenizer_lacks_is_not_learnt() -> None:
    tokenizer = build_tokenizer()
    (made,) = rows([row("<think> Build thisthat it.</think> def")], tokenizer, None, longest=80)
    assert tokenizer.unk_token_id in made["input_ids"]
    assert tokenizer.unk_token_id not in made["labels"]
    tokenizer.unk_token = tokenizer.eos_token  # as in GPT-2: the end must still be learnt
    assert rows([row()], tokenizer, None, longest=80)[0]["labels"][-1] == tokenizer.eos_token_id


@dataclass(frozen=True)
class PaysForWords:
    word: str

    def grade(self, tasks: Sequence[Task], completions: Sequence[str]) -> list[Grade]:
        return [Grade(Outcome.SOLVED if self.word in text else Outcome.WRONG, 1.0) for text in completions]


def test_collected_episodes_are_stored_rows_in_order() -> None:
    kinds = [("code", False) if i % 2 else ("chat", True) for i in range(4)]
    tasks = [
        Task(f"t/{i}", kind, (Message("user", f"ask {i}"),), as_written=written)
        for i, (kind, written) in enumerate(kinds)
    ]
    prompt = SystemLine(("line",))

    def sample(conversations: Sequence[Sequence[Message]], max_new_tokens: int, seed: int) -> list[str]:
        return [f"{' '.join(m.content for m in turns)} {max_new_tokens} {seed}" for turns in conversations]

    made = collect(sample, tasks, prompt, {"code": PaysForWords("ask 3")}, seed=7, max_new_tokens=5, step=28)
    read = ["ask 0", "line ask 1", "ask 2", "line ask 3"]  # scenes are read as written
    assert [episode["completion"] for episode in made] == [f"{text} 5 7" for text in read]
    assert [episode["outcome"] for episode in made] == ["reply", "wrong", "reply", "solved"]
    assert [episode["environment_reward"] for episode in made] == [None, 1.0, None, 1.0]
    assert {tuple(episode) for episode in made} == {tuple(row())}
    assert {episode["step"] for episode in made} == {28}
    assert made[1]["prompt"][0] == {"role": "system", "content": "line"}
