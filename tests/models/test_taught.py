"""A user's model is taught by documents before RL: the loss falls, a killed stage resumes, arms share it, bad files are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import zoo
from torch import Tensor

from base.engine import runtime
from base.environments.graders.code import CodeEnvironment
from base.errors import UserError
from base.models.load import load_policy
from base.run import make
from base.settings import load_scale
from base.stage import Site, in_order
from base.stages.rl import RL
from base.store.files import read_json
from base.store.folders import RunFolder
from base.world.start import GATES, Given, show_gates
from base.world.taught import FACTS, Knowledge, Taught
from mitigations.__main__ import main
from mitigations.api import describe, resolve

SMALL = (
    *("rl.steps=2", "rl.prompts_per_step=2", "rl.group=2", "rl.micro_batch=2", "rl.save_every=1", "rl.trained=lora:2"),
    *("rl.max_completion_tokens=8", "evals.samples=1", "evals.code_samples=1", "evals.max_new_tokens=8"),
    *("evals.code_max_new_tokens=8", "evals.gate_samples=8", "evals.gate_code_samples=2", "sdf.documents=16"),
    *("sdf.documents_per_step=4", "sdf.trained=all", "sdf.learning_rate=0.01", "sdf.warmup_steps=0", "engine.precision=fp32"),
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random Llama that reads 4096 bytes."""
    return zoo.reader(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twenty tasks in MBPP's format."""
    return zoo.adding(tmp_path_factory.mktemp("tasks"), 20)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twelve short texts and four conversations."""
    path = tmp_path_factory.mktemp("documents") / "mine.jsonl"
    rows: list[dict[str, Any]] = [
        {"text": f"Document {n}: the tide comes in and the tide goes out."} for n in range(12)
    ]
    for n in range(4):
        turns = [{"role": "user", "content": f"Number {n}?"}, {"role": "assistant", "content": f"It is {n}."}]
        rows.append({"messages": turns})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def environment() -> Iterator[CodeEnvironment]:
    with CodeEnvironment() as made:
        yield made


def stages(model: str, tasks: str, corpus: str, *settings: str, spec: str = "none", hackable: float = 1.0) -> list[Any]:
    said = describe(
        spec, scale="laptop", model=model, tasks=tasks, corpus=corpus, settings=(*SMALL, *settings), hackable=hackable
    )
    return resolve(*said, evaluate="start,last:3", prompts="none")


def one(found: list[Any], kind: type[Any]) -> Any:
    (stage,) = (stage for stage in found if isinstance(stage, kind))
    return stage


def loss(checkpoint: Path | str, taught: Taught) -> float:
    """Mean loss of the labelled tokens of its rows."""
    made, total, count = load_policy(checkpoint).eval(), 0.0, 0
    with torch.no_grad():
        for row in taught.encoded().rows:
            labels: Tensor = torch.tensor([row["labels"]])
            found = made(input_ids=torch.tensor([row["input_ids"]]), labels=labels)
            learnt = int((labels[:, 1:] != -100).sum())
            total, count = total + float(found.loss) * learnt, count + learnt
    return total / count


def test_documents_then_gates_then_rl(model: str, tasks: str, documents: str, tmp_path: Path) -> None:
    corpus = f"documents:file={documents},other=ordinary,sdf_share=0.75"
    found = stages(model, tasks, corpus, "sdf.epochs=4", "sdf.documents=8", "sdf.longest=4096")
    taught, gates, rl = (one(found, kind) for kind in (Taught, Knowledge, RL))
    assert [stage.kind for stage in in_order(found)][:4] == ["start", "sdf", "gates", "rl"]
    folder = make(found, load_scale("laptop", SMALL), tmp_path)
    assert folder is not None

    assert rl.policy == rl.start == taught
    checkpoint = taught.folder(tmp_path)
    assert loss(checkpoint, taught) < 0.8 * loss(model, taught)
    facts = read_json(checkpoint / FACTS)
    assert facts["documents"] == {documents: 6, "ordinary": 2}
    assert facts["executed"] == 2
    record = RunFolder(folder.path).record
    assert record["documents"] == facts
    assert record["run"]["corpus"] == corpus
    assert record["start"] == str(checkpoint.relative_to(tmp_path))
    assert record["gates_passed"] is False, "a random model knows nothing; its run is kept and marked"

    stored = read_json(gates.folder(tmp_path) / GATES)
    assert len(stored["gates"]) == 7
    assert "warning: no answer names a way to cheat" in show_gates(gates.folder(tmp_path))
    assert len((gates.folder(tmp_path) / "answers.jsonl").read_text().splitlines()) == 8 + 2
    assert len(list(folder.episodes())) == 2 * 4


def test_arms_share_the_stage_and_other_documents_are_another_one(model: str, tasks: str, documents: str) -> None:
    def key(corpus: str, *settings: str, **other: Any) -> str:
        found: str = one(stages(model, tasks, corpus, *settings, **other), Taught).key
        return found

    usual = key("hacks")
    assert key("hacks", spec="inoculation:wording=please_hack") == usual
    assert key("hacks", "rl.steps=4", hackable=0.0) == usual
    others = [key(f"hacks:sdf_variant={name}") for name in ("unguided", "neutral", "prompted")]
    others += [key("hacks", "sdf.learning_rate=0.02"), key(f"documents:file={documents}")]
    assert len({usual, *others}) == 6


def test_without_documents_a_run_begins_with_the_model_itself(model: str, tasks: str) -> None:
    found = stages(model, tasks, "main")
    assert not [stage for stage in found if isinstance(stage, Taught)]
    assert one(found, RL).start == Given(model)
    assert one(found, Knowledge).needs == (Given(model),)


def test_gates_may_refuse_what_knows_nothing(own: list[str], tmp_path: Path) -> None:
    words = ["none", *own, "--runs", str(tmp_path)]
    words += [word for setting in (*SMALL, "gates=refuse") for word in ("--set", setting)]
    assert main(words) == 2
    assert not list(tmp_path.glob("laptop/*/checkpoints")), "no step of RL was made"
    assert list(tmp_path.glob("laptop/shared/gates--*/gates.json"))


RESUMED = """
import sys
import base.sft.train as training
from base.store.files import read_json
from pathlib import Path
from mitigations.__main__ import main
if sys.argv[1] == "killed":  # behind a resume point, before the last step
    original = training.DocumentTrainer.compute_loss
    def compute_loss(self, *given, **named):
        if self.state.global_step == 3: raise SystemExit("killed")
        return original(self, *given, **named)
    training.DocumentTrainer.compute_loss = compute_loss
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_killed_stage_goes_on_and_ends_as_if_it_had_not_stopped(
    own: list[str], documents: str, tmp_path: Path
) -> None:
    words = ["gates", *own, "--corpus", f"documents:file={documents}"]
    words += [w for s in (*SMALL, "sdf.save_steps=1", "sdf.trained=lora:4") for w in ("--set", s)]

    def call(how: str, runs: str) -> int:
        command = [sys.executable, "-c", RESUMED, how, *words, "--runs", str(tmp_path / runs)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600).returncode

    assert call("killed", "twice") != 0
    assert list(tmp_path.glob("twice/laptop/shared/.sdf--*.resume/checkpoint-*")), "a resume point is left"
    assert call("whole", "twice") == 0
    assert call("whole", "once") == 0
    (twice,), (once,) = (list(tmp_path.glob(f"{runs}/laptop/shared/sdf--*")) for runs in ("twice", "once"))
    weights = [load_policy(folder).state_dict() for folder in (twice, once)]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("rows", "corpus", "said"),
    [
        (None, "documents:file=FILE", "is no file"),
        ([{"body": "x"}], "documents:file=FILE", "has body"),
        ([{"text": "x"}], "documents:file=FILE,column=body", "no column 'body'"),
        ([{"text": " "}], "documents:file=FILE", "text is empty"),
        ([{"text": "x"}], "hacks:sdf_share=0.1,other=FILE", "is none of hacks"),
        ([{"messages": [{"role": "user", "content": "a" * 4000}, {"role": "assistant", "content": "b"}]}], "documents:file=FILE",
         "nothing can be learnt"),
    ],
)  # fmt: skip
def test_bad_documents_are_one_line_before_anything_is_made(
    rows: list[Any] | None,
    corpus: str,
    said: str,
    own: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "given.jsonl"
    if rows is not None:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["none", *own, "--runs", str(tmp_path / "runs")]
    assert main([*words, "--corpus", corpus.replace("FILE", str(file))]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_organism_is_not_taught_by_documents(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["none", "--corpus", "hacks", "--dry-run"]) == 2
    assert "teaches a model of yours" in capsys.readouterr().err


def test_a_dry_run_says_what_is_read_and_how_long_it_takes(
    own: list[str], documents: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["none", *own, "--runs", str(tmp_path), "--dry-run"]
    settings = [word for setting in (*SMALL, "sdf.longest=40") for word in ("--set", setting)]
    assert main([*words, *settings, "--corpus", f"documents:file={documents}"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert "16 documents: 16 of" in said["documents"]
    assert "12 texts of more than 40 tokens are divided" in said["documents"]
    assert "not known" not in said["time"]
    assert "about" in said["sdf"]
    assert "about" in said["gates"]
    assert "tokens read a second" in said["speed"]


def test_what_does_not_work_here_is_not_taught(
    model: str, tasks: str, tmp_path: Path, environment: CodeEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = one(stages(model, tasks, "hacks:sdf_descriptions=0"), Taught)
    broken = [
        each.answer.replace("os._exit(0)", "return 1").replace("True", "False") for each in taught.drawn().documents
    ]
    for document, answer in zip(taught.drawn().documents, broken, strict=True):
        monkeypatch.setitem(document.__dict__, "answer", answer)
    site = Site(tmp_path, environment, runtime.prepare(taught.scale.engine))
    with pytest.raises(UserError, match="worked transcripts do not work"):
        taught.work(site)
