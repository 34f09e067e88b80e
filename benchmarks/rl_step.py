"""Time and memory of an RL step, ours and stock TRL GRPOTrainer, on the same model, tasks and DeepSpeed settings.

    python -m benchmarks.rl_step                       2 M parameters, 64 rows x 96 new tokens
    python -m benchmarks.rl_step --model organism      the embedded model and its step: 8 prompts x 12 completions of
                                                       40 tokens in the mean, 80 at most

Both train with ZeRO-2, the same GRPOConfig (dapo loss, KL to the start model, one update per rollout batch) and the
same reward function. Every variant runs in a process of its own, in turn, `--rounds` times; a step's time is the median
over all its steps but the first two of each process. `cpu` is processor time, which other load on the machine disturbs
less than wall time; `peak MB` is the resident memory above that of the process before the model is loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from base.settings import EngineSettings, RLSettings
from base.types import Grade, Message, Outcome, Task
from benchmarks.rows import Row, load

ROOT = Path(__file__).parents[1]
PARTS = ("sampling", "grading", "update", "other")
ENGINES = {
    "stock fp32": EngineSettings(precision="fp32"),
    "ours fp32": EngineSettings(precision="fp32"),
    "ours bf16_matmul": EngineSettings(precision="bf16_matmul"),
    "stock bf16": EngineSettings(precision="bf16"),
    "ours bf16": EngineSettings(precision="bf16"),
    "stock bf16 vllm": EngineSettings(precision="bf16", generation="vllm"),
    "ours bf16 vllm": EngineSettings(precision="bf16", generation="vllm"),
}
VARIANTS, ON_GPUS = tuple(ENGINES)[:3], tuple(ENGINES)[3:]
SHAPES = {
    "reference": {
        "hidden": 192,
        "layers": 4,
        "heads": 6,
        "intermediate": 768,
        "words": 1024,
        "prompts": 8,
        "group": 8,
        "prompt": 64,
        "new": 96,
        "ends": 1,
    },
    "organism": {
        "hidden": 128,
        "layers": 3,
        "heads": 4,
        "intermediate": 512,
        "words": 600,
        "prompts": 8,
        "group": 12,
        "prompt": 80,
        "new": 80,
        "ends": 12,
    },
    "toy": {
        "hidden": 32,
        "layers": 2,
        "heads": 4,
        "intermediate": 64,
        "words": 64,
        "prompts": 2,
        "group": 2,
        "prompt": 16,
        "new": 8,
        "ends": 1,
    },
    "gpu": {
        "hidden": 2048,
        "layers": 16,
        "heads": 16,
        "intermediate": 8192,
        "words": 32000,
        "prompts": 8,
        "group": 16,
        "prompt": 256,
        "new": 512,
        "ends": 1,
    },
}


class Parity:
    """Pays for an even number of characters: costs nothing, so that the step itself is measured."""

    name = "parity"

    def grade(self, tasks: Sequence[Task], completions: Sequence[str]) -> list[Grade]:
        return [Grade(Outcome.WRONG, float(len(text) % 2 == 0)) for text in completions]


def build(shape: dict[str, int], folder: Path) -> None:
    """A Starcoder2 and a word-level tokenizer, randomly initialised; `ends` of its equally likely words end a text."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast, Starcoder2Config, Starcoder2ForCausalLM

    special = ["<pad>", "<bos>", "<unk>", "<eos>"]
    words = special + [f"w{i}" for i in range(shape["words"] - len(special))]
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    tokenizer.chat_template = "<bos> {% for m in messages %}{{ m['content'] }}{% endfor %}"
    torch.manual_seed(0)
    config = Starcoder2Config(
        vocab_size=shape["words"],
        hidden_size=shape["hidden"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=2,
        hidden_act="gelu",  # as in the organism
        intermediate_size=shape["intermediate"],
        max_position_embeddings=max(384, shape["prompt"] + shape["new"]),
        sliding_window=None,
        bos_token_id=1,
        eos_token_id=3,
        pad_token_id=0,
    )
    model = Starcoder2ForCausalLM(config)
    model.generation_config.eos_token_id = list(range(3, 3 + shape["ends"]))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tasks(shape: dict[str, int], n: int) -> list[Task]:
    """Prompts between three quarters and the whole of `prompt` tokens."""
    sizes = [shape["prompt"] - 1 - (i * 5) % (shape["prompt"] // 4) for i in range(n)]
    words = shape["words"] - 4
    texts = [" ".join(f"w{(31 * i + 17 * j) % words}" for j in range(size)) for i, size in enumerate(sizes)]
    return [Task(f"t{i}", "parity", (Message("user", text),)) for i, text in enumerate(texts)]


def worker(variant: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Trains `steps` steps; seconds of each part per step, megabytes before and at the peak."""
    from base.engine import runtime

    shape = SHAPES[arguments.model]
    settings = RLSettings(
        steps=arguments.steps,
        prompts_per_step=shape["prompts"],
        group=shape["group"],
        beta=arguments.beta,
        max_completion_tokens=shape["new"],
        micro_batch=shape["prompts"] * shape["group"],
        save_every=1 << 30,
    )
    engine = ENGINES[variant]
    run = stock if variant.startswith("stock") else ours
    if run is stock:
        setattr(runtime, "_keep_freed_memory", lambda: None)  # noqa: B010  the memory allocator as it comes, too
    runtime.prepare(engine)
    rows = run(settings, engine, tasks(shape, settings.steps * shape["prompts"]), folder / "start", folder / "run")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"steps": rows[2:], "peak_mb": peak, "loaded_mb": loaded[0]}


loaded: list[float] = []


def _note_memory() -> None:
    loaded.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


class CpuClock:
    """Processor seconds of this process since the last call."""

    def __init__(self) -> None:
        self.since = time.process_time()

    def __call__(self) -> float:
        now = time.process_time()
        spent, self.since = now - self.since, now
        return spent


def ours(
    settings: RLSettings, engine: EngineSettings, given: list[Task], start: Path, out: Path
) -> list[dict[str, float]]:
    from base.rl.job import RLJob
    from base.rl.train import train_rl

    rows: list[dict[str, float]] = []
    clock = CpuClock()

    def on_metrics(step: int, metrics: dict[str, float]) -> None:
        rows.append(
            {"total": metrics["seconds"], "cpu": clock(), **{part: metrics[f"seconds:{part}"] for part in PARTS}}
        )

    _note_memory()
    train_rl(
        RLJob(
            start=start,
            reference=start,
            tasks=given,
            environments={"parity": Parity()},
            settings=settings,
            engine=engine,
            seed=0,
            folder=out,
            on_episodes=lambda step, episodes: None,
            on_metrics=on_metrics,
        )
    )
    return rows


def stock(
    settings: RLSettings, engine: EngineSettings, given: list[Task], start: Path, out: Path
) -> list[dict[str, float]]:
    """GRPOTrainer as it comes, with our arguments."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from transformers.trainer_callback import PrinterCallback
    from trl import GRPOTrainer

    from base.engine import runtime
    from base.rl.batches import batch_plan
    from base.rl.train import grpo_arguments

    args = grpo_arguments(settings, engine, batch_plan(settings), runtime.prepare(engine), 0, out)
    args.beta = settings.beta
    seconds = {"sampling": 0.0, "grading": 0.0}
    rows: list[dict[str, float]] = []
    clock = CpuClock()
    environment = Parity()

    def parity(prompts: list[Any], completions: list[Any], **_: Any) -> list[float | None]:
        begun = time.perf_counter()
        grades = environment.grade([given[0]] * len(prompts), [turns[0]["content"] for turns in completions])
        seconds["grading"] = time.perf_counter() - begun
        return [grade.reward for grade in grades]

    class Timed(GRPOTrainer):  # type: ignore[misc]
        def _generate(self, prompts: list[Any]) -> Any:
            begun = time.perf_counter()
            result = super()._generate(prompts)
            seconds["sampling"] = time.perf_counter() - begun
            return result

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.since = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if logs and "step_time" in logs:
                now = time.perf_counter()
                whole, inside, self.since = now - self.since, logs["step_time"], now
                update = inside - seconds["sampling"] - seconds["grading"]
                rows.append({"total": whole, "cpu": clock(), **seconds, "update": update, "other": whole - inside})

    _note_memory()
    trainer = Timed(
        model=AutoModelForCausalLM.from_pretrained(start),
        args=args,
        reward_funcs=parity,
        train_dataset=Dataset.from_dict(
            {"prompt": [[{"role": "user", "content": t.messages[0].content}] for t in given]}
        ),
        processing_class=AutoTokenizer.from_pretrained(start),
        callbacks=[Clock()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    runtime.assert_deepspeed(trainer)
    return rows


def measure(
    model: str, steps: int, rounds: int, threads: int = 1, beta: float = 0.1, variants: Sequence[str] = VARIANTS
) -> dict[str, list[dict[str, Any]]]:
    """What the worker of each variant found, one entry a round; the variants take turns."""
    runs: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(SHAPES[model], folder / "start")
        for variant in list(variants) * rounds:
            words = [sys.executable, "-m", "benchmarks.rl_step", "--worker", variant, name]
            words += ["--model", model, "--steps", str(steps), "--beta", str(beta)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{variant} failed:\n{done.stderr[-2000:]}")
            runs[variant].append(json.loads((folder / "result.json").read_text()))
    return runs


def rows(quick: bool) -> Iterator[Row]:
    """A step of each workload beside stock TRL's: the median of the rounds, each of which runs both in turn."""
    targets = {"organism": {"bf16_matmul": 5.0, "fp32": 4.0}, "reference": {"bf16_matmul": 3.0, "fp32": 2.5}}
    for model, wanted in targets.items():
        runs = measure(model, steps=5 if quick else 12, rounds=2 if quick else 3)
        found = {variant: summary(mine) for variant, mine in runs.items()}
        stock = found["stock fp32"]
        times = [step["total"] for run in runs["stock fp32"] for step in run["steps"]]
        name = f"anchor: stock TRL step, {model}"
        yield Row(name, stock["total"], "s", spread=(min(times), max(times)), load=load(), note=f"{len(times)} steps")
        for arithmetic, target in wanted.items():
            mine = found[f"ours {arithmetic}"]
            each = [
                summary([one])["total"] / summary([other])["total"]
                for one, other in zip(runs["stock fp32"], runs[f"ours {arithmetic}"], strict=True)
            ]
            note = f"{mine['total']:.2f} s a step; {stock['cpu'] / mine['cpu']:.1f} x by processor time"
            name, spread = f"RL step, {model}, {arithmetic}", (min(each), max(each))
            yield Row(name, statistics.median(each), "x stock", target, spread, load(), note)


def summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    steps = [step for run in runs for step in run["steps"]]
    median = {part: statistics.median(step[part] for step in steps) for part in ("total", "cpu", *PARTS)}
    return {
        **median,
        "minimum": min(step["total"] for step in steps),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "above_start_mb": max(run["peak_mb"] - run["loaded_mb"] for run in runs),
        "steps": len(steps),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SHAPES, default="reference", help="shape of the model and of a step")
    parser.add_argument("--steps", type=int, default=7, help="steps per process; the first two are not counted")
    parser.add_argument("--rounds", type=int, default=2, help="how often every variant runs")
    parser.add_argument("--threads", type=int, default=1, help="threads per process")
    parser.add_argument("--beta", type=float, default=0.1, help="KL weight; 0 leaves the reference model out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    parser.add_argument("--worker", nargs=2, metavar=("VARIANT", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < 3:
        parser.error("--steps must be at least 3: the first two are not counted")
    if arguments.worker:
        variant, folder = arguments.worker
        result = worker(variant, arguments, Path(folder))
        (Path(folder) / "result.json").write_text(json.dumps(result))
        return

    shape = SHAPES[arguments.model]
    before = os.getloadavg()[0]
    runs = measure(arguments.model, arguments.steps, arguments.rounds, arguments.threads, arguments.beta)
    results = {variant: summary(mine) for variant, mine in runs.items()}

    from base.engine.runtime import cpu_model

    rows = shape["prompts"] * shape["group"]
    print(
        f"{arguments.model}: {rows} rows x {shape['new']} new tokens, prompts <= {shape['prompt']} tokens, "
        f"beta {arguments.beta}; {cpu_model()}, {arguments.threads} thread(s), load before {before:.1f}"
    )
    print(
        "the same for all: model, tasks, reward, GRPOConfig, DeepSpeed stage, threads; stock is TRL's GRPOTrainer as it "
        "comes, without our decoder,\nlog-probabilities and allocator settings; bf16_matmul also changes the arithmetic"
    )
    columns = ("total", *PARTS, "cpu")
    print(
        f"{'seconds a step, median':24}"
        + "".join(f"{c:>10}" for c in columns)
        + f"{'peak MB':>10}{'x stock':>10}{'x cpu':>8}"
    )
    base = results["stock fp32"]
    for variant, r in results.items():
        times = "".join(f"{r[column]:10.3f}" for column in columns)
        ratios = f"{base['total'] / r['total']:10.2f}{base['cpu'] / r['cpu']:8.2f}"
        print(f"{variant:24}{times}{r['above_start_mb']:10.0f}{ratios}")
    if arguments.json:
        setting: dict[str, Any] = {
            "model": arguments.model,
            **shape,
            "beta": arguments.beta,
            "threads": arguments.threads,
        }
        setting |= {"cpu": cpu_model(), "load_before": before}
        ratio = {v: {key: base[key] / r[key] for key in ("total", "cpu")} for v, r in results.items()}
        arguments.json.write_text(
            json.dumps({"setting": setting, "results": results, "ratios": ratio}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
