"""What a run of a real model costs: memory and disk from its configuration, time from a few seconds of sampling and training.

Memory and disk are arithmetic: `memory` of one process on CPUs, `on_gpus` of each of several GPUs under ZeRO, which leaves
activations aside. What torch itself takes comes on top of both: an SDF stage of SmolLM2-135M was seen at 5.8 GB, of which
2.6 are counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from base.engine import runtime
from base.models import chat, generate
from base.models.arithmetic import set_arithmetic
from base.models.attention import shared_attention, supports_shared_prompts
from base.models.decoder import CACHE
from base.models.load import load_policy
from base.models.logprobs import score_padded, score_shared
from base.models.passes import FP32, LOGITS, kept, rows_a_pass
from base.models.reading import reader
from base.settings import Scale
from base.types import Message

ADAM = 12  # bytes of a trained weight: gradient and two moments
BF16, MASTER = 2, 12  # on GPUs: a weight or a gradient; of a trained one fp32 copy and two moments
PROBED = (4, 12)  # tokens sampled twice: what is left is the price of a token
ROWS = 2  # of the update that is timed
ROWS_AT_ONCE = 256  # completions that `generate` draws together (base.models.generate)
LARGEST = 1e9  # parameters of a model that is loaded to be timed
SECONDS_A_PROGRAM = 0.05  # to grade one on a core


@dataclass(frozen=True)
class Size:
    """Counts of a model: weights, those that are trained, words, the bytes that a token's keys and values take, and those that
    it keeps in training without its logits (base.models.passes). `shared`: completions of a group read their prompt once.
    """

    weights: int
    trained: int
    vocabulary: int
    cached: int
    kept: int
    shared: bool


def size(path: str, trained: str) -> Size:
    """From the configuration alone: nothing is loaded.

    Raises:
        UserError: there is none.
    """
    return size_of(reader(path)[1], trained)


def size_of(config: Any, trained: str) -> Size:
    """Of the model that a configuration describes, one of the causal language models (base.models.load.load_config)."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    text = config.get_text_config()
    weights = model.num_parameters()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    cached = 2 * text.num_hidden_layers * heads * head * FP32
    return Size(
        weights,
        _trained(model, trained),
        text.vocab_size,
        cached,
        kept(config, head=False),
        supports_shared_prompts(config),
    )


def _trained(model: Any, trained: str) -> int:
    kind, _, rank = trained.partition(":")
    if kind == "lora":
        last = model.get_output_embeddings()
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer is not last]
        return int(rank) * sum(layer.in_features + layer.out_features for layer in layers)
    return sum(p.numel() for p in model.parameters() if kind == "all" or p.dim() == 1)


def memory(found: Size, scale: Scale, longest: int) -> str:
    """The memory of an RL run on one process, or on each GPU where there are any, in words; the longest prompt has `longest`
    tokens.
    """
    if torch.cuda.is_available():
        gpus = int(os.environ.get("WORLD_SIZE", "1"))
        return gpu_memory(on_gpus(found, scale, longest, gpus), gpus)
    rl = scale.rl
    lora = rl.trained.startswith("lora")
    weights = FP32 * found.weights * (1 if lora or not rl.beta else 2)  # adapters are switched off to get the reference
    optimiser = (ADAM + FP32) * found.trained  # DeepSpeed keeps a copy of what it trains
    rows, width = rl.prompts_per_step * rl.group, longest + rl.max_completion_tokens
    cache = min(CACHE, rows * width * found.cached)
    merged = FP32 * found.weights if lora else 0
    together = min(rl.micro_batch, rows)
    prompts = -(-together // rl.group) if found.shared else together
    new = together * rl.max_completion_tokens
    update = (prompts * longest + new) * found.kept + 3 * FP32 * new * found.vocabulary
    saving = 2 * FP32 * found.weights  # the state and a model to write it, or that and what was read back
    peak = weights + optimiser + max(cache + merged, update, saving)
    return (
        f"about {_gb(peak)} GB a process: weights{' and reference' if rl.beta and not lora else ''} {_gb(weights)}, training "
        f"state {_gb(optimiser)}, and the largest of sampling {_gb(cache + merged)}, an update of rl.micro_batch completions "
        f"{_gb(update)} behind the longest prompt ({longest} tokens), saving {_gb(saving)} (all fp32; torch itself and "
        "its allocator take 1 to 3 GB more)"
    )


def memory_of_documents(found: Size, rows: int, longest: int) -> str:
    """The memory of training on documents on one process on CPUs, in words: steps of `rows` rows of at most `longest` tokens."""
    weights, optimiser = FP32 * found.weights, (ADAM + FP32) * found.trained
    each = longest * (found.kept + LOGITS * FP32 * found.vocabulary)
    peak = weights + optimiser + max(each * rows_a_pass(rows, each, "cpu"), 2 * FP32 * found.weights)
    return f"documents take about {_gb(peak)} GB a process; torch itself and its allocator take 1 to 3 GB more"


def on_gpus(found: Size, scale: Scale, longest: int, gpus: int) -> dict[str, float]:
    """Gigabytes on each of `gpus` GPUs (bf16, sampling by `generate`) where the longest prompt has `longest` tokens: `held`
    all the time, `sampling` beside it while completions are drawn; `host`: in a machine's memory beside them, what is
    offloaded (of all ranks, if they are of one machine) and, on the main rank, two fp32 copies while it saves.
    """
    rl, stage, offload = scale.rl, scale.engine.zero_stage, scale.engine.offload
    lora = rl.trained.startswith("lora")
    weights = BF16 * found.weights * (1 if lora or not rl.beta else 2) / (gpus if stage == 3 else 1)
    gradients = BF16 * found.trained / (gpus if stage >= 2 else 1)
    state = MASTER * found.trained / (gpus if stage >= 1 else 1)
    moved = (state if offload != "none" else 0) + (weights if offload == "parameters" else 0)
    rows = min(ROWS_AT_ONCE, -(-rl.prompts_per_step * rl.group // gpus))
    cache = rows * (longest + rl.max_completion_tokens) * found.cached * BF16 / FP32
    whole = BF16 * found.weights if stage == 3 else 0  # gathered to sample from
    parts = {
        "held": weights + gradients + state - moved,
        "sampling": cache + whole,
        "host": moved * gpus + 2 * FP32 * found.weights,
    }
    return {name: count / 1e9 for name, count in parts.items()}


def gpu_memory(took: Mapping[str, float], gpus: int) -> str:
    """What `on_gpus` found, in words."""
    each = "the GPU" if gpus == 1 else f"each of {gpus} GPUs"
    return (
        f"about {took['held'] + took['sampling']:.2g} GB on {each} before activations: {took['held']:.2g} all the time, "
        f"{took['sampling']:.2g} while sampling; {took['host']:.2g} GB of the machine's own memory"
    )


def disk(found: Size, checkpoints: int) -> str:
    """The disk that a run's checkpoints and its resume point take, in words."""
    each = FP32 * found.weights
    resume = each + (ADAM + FP32) * found.trained
    return f"about {_gb(checkpoints * each + resume)} GB: {checkpoints} checkpoints of {_gb(each)} and a resume point"


def _gb(count: float) -> str:
    size = count / 1e9
    return f"{size:.2g}" if size < 10 else f"{size:.0f}"


def measure(path: str, scale: Scale, asked: Sequence[Sequence[Message]], evals: int) -> dict[str, float] | None:
    """Seconds by kind of work (Scale.measured), as if every completion were of full length, and tokens sampled and trained a
    second; None where the model cannot be timed here in seconds.

    `asked` are some of the run's prompts, `evals` how many evals a checkpoint is asked.
    """
    if not Path(path).expanduser().is_dir() or torch.cuda.is_available():
        return None
    if size(path, scale.rl.trained).weights > LARGEST:
        return None
    process, rl = runtime.prepare(scale.engine), scale.rl
    tokenizer, _ = reader(path)
    prompts = [chat.prompt_ids(tokenizer, messages) for messages in asked]
    model = set_up(path, scale, process)
    decode = generate.choose(model, tokenizer, scale.engine.generation)
    rows = rl.prompts_per_step * rl.group
    several = [prompts[i % len(prompts)] for i in range(rl.prompts_per_step)]
    once, short, long = (
        _seconds(partial(decode, several, max_new_tokens=n, seed=0, samples=rl.group)) for n in (1, *PROBED)
    )
    # Of one row. Where other work on the machine hides the difference, all of it counts as tokens: rather too long than none.
    token = (long - short) / (PROBED[1] - PROBED[0]) / rows if long > short else long / PROBED[1] / rows
    start = max(min(once, short) - token * rows, 0.0)  # weights, prompts
    update = _seconds(partial(_update, model, prompts[0], rl.max_completion_tokens)) / ROWS  # of one row
    settings = scale.evals
    answers = evals * settings.samples * settings.max_new_tokens + settings.code_samples * settings.code_max_new_tokens
    asks = settings.gate_samples * settings.max_new_tokens + settings.gate_code_samples * settings.code_max_new_tokens
    return {
        "gates": 2 * start + asks * token + settings.gate_code_samples * SECONDS_A_PROGRAM,
        "rl_step": start + rows * (rl.max_completion_tokens * token + update + SECONDS_A_PROGRAM),
        "evaluation": 2 * start + answers * token + settings.code_samples * SECONDS_A_PROGRAM,
        "sft_step": scale.sft.documents_per_step * update,
        "preference": 2 * (scale.preference.pairs + scale.preference.held_out) * update,
        "tokens_sampled": 1 / token,
        "tokens_trained": rl.max_completion_tokens / update,
    }


def set_up(path: str, scale: Scale, process: runtime.Runtime) -> Any:
    """The policy as RL trains it."""
    model = load_policy(Path(path), scale.rl.trained)
    set_arithmetic(model, process.arithmetic)
    return model


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _update(model: Any, prompt: Sequence[int], new: int) -> None:
    """Forward and backward of ROWS completions of `new` tokens."""
    row: Tensor = torch.tensor([[*prompt, *(prompt[i % len(prompt)] for i in range(new))]])
    ids = row.expand(ROWS, -1)
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    if supports_shared_prompts(inner.config):
        with shared_attention(inner):
            scores, _ = score_shared(model, ids, torch.ones_like(ids), new, 1.0)
            torch.autograd.backward(scores.sum())
    else:
        scores, _ = score_padded(model, ids, torch.ones_like(ids), new, 1.0)
        torch.autograd.backward(scores.sum())
