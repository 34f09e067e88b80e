"""What a model and its tokenizer must agree on, checked before anything is trained or sampled."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from base.errors import UserError

log = logging.getLogger(__name__)

# Names that architectures give to their longest sequence.
_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx")
_TOLERANCE = 1e-3  # total variation between two distributions that should be one
_ROUNDED = 0.25  # the same in half precision, where logits are off by an eighth and more


def match_tokenizer(tokenizer: PreTrainedTokenizerBase, model: Any) -> None:
    """`match_rows` for the embeddings of a model."""
    match_rows(tokenizer, embedding_rows(model))


def match_rows(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Checks that a model of `rows` embeddings has some for the tokenizer's special tokens.

    A pad token without one gives way to the end token: padding is masked, so any token will do. Other tokens beyond the
    embedding (images, unused additions) matter only where a text holds them: see `check_ids`.

    Raises:
        UserError: the end token has no embedding.
    """
    if tokenizer.eos_token_id is not None and not 0 <= tokenizer.eos_token_id < rows:
        raise UserError(
            f"the tokenizer's end token {tokenizer.eos_token} is number {tokenizer.eos_token_id}, but the model has only "
            f"{rows} embeddings: use the tokenizer that belongs to the model, or call model.resize_token_embeddings and "
            "save both"
        )
    if tokenizer.pad_token_id is None or not 0 <= tokenizer.pad_token_id < rows:
        log.warning(
            "the pad token %s has no embedding in the model: %s pads instead", tokenizer.pad_token, tokenizer.eos_token
        )
        tokenizer.pad_token = tokenizer.eos_token


def embedding_rows(model: Any) -> int:
    """How many tokens the model knows; ZeRO-3 empties the table itself."""
    return int(model.get_input_embeddings().num_embeddings)


def check_ids(texts: Iterable[Sequence[int]], model: Any) -> None:
    """Raises UserError if a text (token ids) holds a token that the model has no embedding for."""
    rows, largest = embedding_rows(model), max((max(ids) for ids in texts if ids), default=0)
    if largest >= rows:
        raise UserError(
            f"a text holds token number {largest}, but the model has only {rows} embeddings: use the tokenizer that "
            "belongs to the model, or take that token out of the texts and the chat template"
        )


def context(config: Any) -> int | None:
    """The longest sequence that the model of this config reads, or None if nothing limits it (ALiBi, state spaces)."""
    text = config.get_text_config()
    named = (getattr(text, name, None) for name in _CONTEXT)
    return next((int(value) for value in named if isinstance(value, int) and value > 0), None)


def learns_positions(model: Any) -> bool:
    """Whether positions are looked up in a table: then padding in front moves a text unless positions are given."""
    limit, words = context(model.config), model.get_input_embeddings()
    return limit is not None and any(
        isinstance(module, nn.Embedding) and module is not words and module.num_embeddings >= limit
        for module in model.modules()
    )


def check_room(config: Any, longest: int, new: int) -> None:
    """Raises UserError if a prompt of `longest` tokens and `new` further ones exceed the model's context."""
    limit = context(config)
    if limit is not None and longest + new > limit:
        raise UserError(
            f"a prompt of {longest} tokens and {new} new ones exceed the model's context of {limit}: "
            "lower the number of new tokens or shorten the tasks"
        )


def check_numbers(model: Any, pad: int) -> None:
    """Raises UserError unless padding in front and training mode leave the model's probabilities as they are.

    Sampling and updates pad, and the update is made in training mode: a model that mixes padding in (some recurrent
    ones) or draws random numbers would be updated as another policy than the one that was sampled. A sharded model
    cannot be asked.
    """
    parameter = next(model.parameters())
    if hasattr(parameter, "ds_id"):
        return
    tolerance = _TOLERANCE if parameter.dtype == torch.float32 else _ROUNDED
    text = [7 * i % embedding_rows(model) for i in range(1, 9)]
    training = model.training
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        plain = _last(model.eval(), text, 0, pad)
        padded = _last(model, text, 5, pad)
        trained = _last(model.train(), text, 0, pad)
    model.train(training)
    kind = model.config.model_type
    if (off := (plain - padded).abs().sum().item() / 2) > tolerance:
        raise UserError(
            f"{kind} models cannot be trained here: padding in front of a text moves {off:.2g} of the probability behind it"
        )
    if (off := (plain - trained).abs().sum().item() / 2) > tolerance:
        raise UserError(f"{kind} models cannot be trained here: training mode moves {off:.2g} of their probabilities")


def _last(model: Any, text: Sequence[int], padding: int, pad: int) -> Tensor:
    """Probabilities [vocabulary] behind a text with `padding` pad tokens in front."""
    device = next(model.parameters()).device
    real = torch.tensor([[0] * padding + [1] * len(text)], device=device)
    logits: Tensor = model(
        input_ids=torch.tensor([[pad] * padding + list(text)], device=device),
        attention_mask=real,
        position_ids=(real.cumsum(-1) - 1).clamp_min(0),
        use_cache=False,
    ).logits
    return logits[0, -1].float().softmax(-1)
