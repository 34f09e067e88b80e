"""A trained preference model as a scorer of outputs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase
from trl.trainer.reward_trainer import suppress_seqcls_warning

from base.engine import runtime
from base.errors import UserError
from base.models import arithmetic as products
from base.models.arithmetic import Bf16Linear
from base.models.chat import prompt_ids
from base.models.load import load_model, load_tokenizer, set_trained, with_adapters
from base.preference.formats import without_system
from base.types import THINK_CLOSE, THINK_OPEN, Message, split_reasoning

MEASURED = "preference.json"


CLIP = 3.0  # standard deviations


ROWS = 32  # texts a forward pass when scoring


@dataclass(frozen=True)
class PreferenceScorer:
    """A trained preference model as base.types.Scorer: standardised, clipped, with noise if wanted.

    Noise is drawn from what the model reads and `seed`: the same prompt and output always get the same. A score that is
    not a number is None.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    mean: float
    std: float
    noise: float = 0.0
    seed: int = 0

    def __call__(self, prompts: Sequence[Sequence[Message]], completions: Sequence[str]) -> list[float | None]:
        texts = [
            tuple(encode(self.tokenizer, prompt, completion, self.max_length))
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
        distinct = list(dict.fromkeys(texts))
        raw = dict(zip(distinct, raw_scores(self.model, distinct), strict=True))
        return [self._standardised(raw[text], text) for text in texts]

    def _standardised(self, raw: float, text: tuple[int, ...]) -> float | None:
        if not math.isfinite(raw):
            return None
        score = (raw - self.mean) / self.std + self.noise * noise_of(text, self.seed)
        return max(-CLIP, min(CLIP, score))


def load_scorer(path: Path, noise: float = 0.0, seed: int = 0) -> PreferenceScorer:
    """The scorer of a finished preference model; `noise` is in standard deviations of its score."""
    if not (path / MEASURED).is_file():
        raise UserError(f"{path} is no trained preference model: it has no {MEASURED}")
    if not noise >= 0:
        raise UserError(f"noise={noise} must be 0 or more (standard deviations of the score)")
    stored = json.loads((path / MEASURED).read_text(encoding="utf-8"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_reward_model(path).eval().requires_grad_(False).to(device)
    scale = stored["scale"]
    return PreferenceScorer(model, load_tokenizer(path), stored["max_length"], scale["mean"], scale["std"], noise, seed)


def load_reward_model(
    path_or_id: Path | str, trained: str = "all", *, seed: int = 0, dtype: Any = torch.float32
) -> Any:
    """A checkpoint with a reward head: the stored one, or, on a causal LM, a new one drawn with `seed`."""
    with torch.random.fork_rng(devices=[]), suppress_seqcls_warning():
        torch.manual_seed(seed)
        model = load_model(
            AutoModelForSequenceClassification,
            path_or_id,
            "a language model checkpoint",
            dtype=dtype,
            head="score",
            num_labels=1,
        )
    model.generation_config = None  # base.models.save copies it; what generates nothing has none
    kind, _, rank = trained.partition(":")
    if kind != "lora" or not rank.isdigit() or not int(rank):
        set_trained(model, trained).score.requires_grad_(True)
        return model
    return with_adapters(model, int(rank), seed, "SEQ_CLS", modules_to_save=["score"])


def set_arithmetic(model: Any, arithmetic: runtime.Arithmetic) -> None:
    """As for policies; the reward head stays fp32, or scores that are close would become equal."""
    products.set_arithmetic(model, arithmetic)
    for module in model.modules():
        if isinstance(module, Bf16Linear) and module.out_features == 1:
            module.__class__ = nn.Linear  # type: ignore[assignment]


def answer_text(completion: str) -> str:
    """The output without its reasoning, with the white space in front of it: tokens depend on that."""
    _, output = split_reasoning(completion)
    before = completion[: len(completion.rstrip()) - len(output)]
    return before[len(before.rstrip()) :] + output if output else ""


def encode(tokenizer: Any, prompt: Sequence[Message], completion: str, max_length: int) -> list[int]:
    """Tokens of prompt, output and end token; where they are too many, the prompt loses its beginning first."""
    asked = prompt_ids(tokenizer, without_system(prompt))
    thinks = tokenizer.decode(asked[-8:], skip_special_tokens=False).rstrip().endswith(THINK_OPEN)
    text = (THINK_CLOSE if thinks else "") + answer_text(completion)
    answer = [*tokenizer(text, add_special_tokens=False)["input_ids"][: max_length - 2], tokenizer.eos_token_id]
    return [*asked[-(max_length - len(answer)) :], *answer]


@torch.no_grad()
def raw_scores(model: Any, texts: Sequence[Sequence[int]]) -> list[float]:
    """The reward head's value for every text, in order; texts of like length share a forward pass."""
    device, pad = model.device, model.config.get_text_config().pad_token_id
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = [0.0] * len(texts)
    for at in range(0, len(order), ROWS):
        rows = order[at : at + ROWS]
        width = len(texts[rows[-1]])
        ids = torch.tensor([[*texts[i], *[pad] * (width - len(texts[i]))] for i in rows], device=device)
        real = torch.tensor([[1] * len(texts[i]) + [0] * (width - len(texts[i])) for i in rows], device=device)
        values: Tensor = model(input_ids=ids, attention_mask=real, use_cache=False).logits[:, 0]
        for i, value in zip(rows, values.float().tolist(), strict=True):
            found[i] = value
    return found


def noise_of(text: Sequence[int], seed: int) -> float:
    """A standard normal number that depends on the text and the seed alone."""
    digest = hashlib.sha256(repr((seed, tuple(text))).encode()).digest()
    return NormalDist().inv_cdf((int.from_bytes(digest[:6], "big") + 0.5) / 2**48)
