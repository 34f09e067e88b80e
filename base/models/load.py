"""Policies and tokenizers: the organism from its settings, or any Hugging Face causal LM; what is trained; saving."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from base.errors import UserError
from base.models.chat import system_role
from base.settings import ModelSettings

if TYPE_CHECKING:
    from base.engine.runtime import Runtime

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")
# Configuration entries of what is random while training: drop(out), layerdrop, attn_pdrop, router_jitter_noise.
_RANDOM = re.compile("drop|jitter")
# What a forward pass gives: no balancing loss of routers, which no loss here has a term for, and nothing that costs memory.
_ALWAYS = {
    "output_router_logits": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
}
_MOVE = "move adapter_config.json out of the folder"
_OWN_CODE = "it brings code of its own (auto_map), which is not run here: use a model that transformers knows"
_DECODERS = "gpt_neox"  # whose configurations say that they are none, and mean no encoder
_POINTER, _POINTER_SIZE = b"version https://git-lfs", 1024  # bytes, at most


PathOrId = str | os.PathLike[str]


def build_organism(
    settings: ModelSettings, vocab_size: int, seed: int, special: Mapping[str, int] | None = None
) -> PreTrainedModel:
    """The from-scratch organism: a small Starcoder2 (LayerNorm, biases, grouped-query attention, tied embeddings).

    `special` holds the tokenizer's bos_token_id, eos_token_id and pad_token_id. Matrices start at N(0, 0.02), those
    that write to the residual stream divided by sqrt(2 layers) (Radford et al. 2019).
    """
    tokens: dict[str, Any] = {name: (special or {}).get(name) for name in SPECIAL}
    config = Starcoder2Config(
        vocab_size=vocab_size,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        hidden_act="gelu",  # on CPUs the tanh approximation costs four times the exact one
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        max_position_embeddings=settings.context,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},  # contexts here are a few hundred tokens
        sliding_window=None,
        use_bias=True,
        tie_word_embeddings=True,
        **tokens,
    )
    model = Starcoder2ForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                writes_residual = name.endswith(("o_proj.weight", "c_proj.weight"))
                std = 0.02 / (math.sqrt(2 * settings.layers) if writes_residual else 1.0)
                parameter.normal_(0.0, std, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
    model.generation_config.update(**tokens)
    return model


def load_policy(path_or_id: PathOrId, trained: str = "all", *, seed: int = 0, dtype: Any = torch.float32) -> Any:
    """A causal LM with the chosen parameters trainable: "all", "biases" (one-dimensional: biases, norms), "lora:RANK".

    LoRA covers every linear layer but the head; `seed` draws its start. Dropout is off, or the update would be of
    another policy than the one that was sampled. Raises UserError if the checkpoint is wrong.
    """
    model = load_model(AutoModelForCausalLM, path_or_id, "a causal language model checkpoint", dtype=dtype)
    return set_trained(model, trained, seed=seed)


def policy_on(process: Runtime, path_or_id: PathOrId) -> Any:
    """A causal LM to be sampled from or scored: on the device of this process; on GPUs in the precision that it trains in."""
    half = process.device == "cuda" and process.arithmetic == "bf16"
    return load_policy(path_or_id, dtype=torch.bfloat16 if half else torch.float32).eval().to(process.device)


def set_trained(model: PreTrainedModel, trained: str, *, seed: int = 0) -> Any:
    """Marks what the optimiser may change; returns the model, wrapped by PEFT for "lora:RANK"."""
    kind, _, rank = trained.partition(":")
    if kind == "lora" and rank.isdigit() and int(rank) > 0:
        return with_adapters(model, int(rank), seed, "CAUSAL_LM")
    if trained not in ("all", "biases"):
        raise UserError(f"trained must be all, biases or lora:RANK (for example lora:8), not {trained!r}")
    for parameter in model.parameters():
        parameter.requires_grad_(trained == "all" or parameter.dim() == 1)
    return model


def with_adapters(model: PreTrainedModel, rank: int, seed: int, task_type: str, **options: Any) -> Any:
    """The model with LoRA on every linear layer but the head, drawn with `seed`; `options` are those of LoraConfig."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    adapters = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type=task_type, **options)
    try:
        return get_peft_model(model, adapters)
    except ValueError as error:
        raise UserError(
            f"{model.config.model_type} models take no LoRA adapters: set trained to all or biases ({error})"
        ) from error


def load_tokenizer(path_or_id: PathOrId, *, chat: bool = True) -> PreTrainedTokenizerBase:
    """The tokenizer beside a checkpoint, padding on the left as generation needs; `chat`: it must have a template."""
    tokenizer: PreTrainedTokenizerBase = _load(AutoTokenizer, path_or_id, "a tokenizer")
    if chat and not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of {path_or_id} has no chat template: use a chat (instruct) model, or store one"
        )
    if chat:
        try:
            system_role(tokenizer)
        except UserError as error:
            raise UserError(f"{path_or_id}: {error}") from error
    if tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of {path_or_id} has no end-of-sequence token: set eos_token in its config")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def plain_generation(model: Any, **settings: Any) -> GenerationConfig:
    """`settings` and the model's special tokens: nothing else of its generation settings, which change what is drawn."""
    own = getattr(model, "generation_config", None)
    return GenerationConfig(**{name: getattr(own, name, None) for name in SPECIAL} | settings)


def declared(path_or_id: PathOrId) -> SimpleNamespace:
    """What stands for a model that is not loaded where its special tokens are asked for."""
    try:
        settings = GenerationConfig.from_pretrained(path_or_id)
    except OSError as error:
        if isinstance(error.__cause__ or error.__context__, ValueError):
            raise UserError(f"{path_or_id}: its generation_config.json is no JSON: load the file again") from error
        settings = GenerationConfig.from_model_config(load_config(path_or_id, "a causal language model checkpoint"))
    return SimpleNamespace(generation_config=settings)


def load_model(auto: Any, path_or_id: PathOrId, what: str, *, dtype: Any, head: str = "", **changes: Any) -> Any:
    """The checkpoint as `auto` (an Auto class) makes it, `changes` applied to its configuration; it may lack the module `head`,
    which is drawn.

    Without dropout, and with the outputs that forward passes here have.

    Raises:
        UserError: there is none, or it is not whole.
    """
    config = load_config(path_or_id, what, **changes)
    for part in _parts(config):
        for key, value in vars(part).items():
            if _RANDOM.search(key) and type(value) in (int, float) and 0 < value <= 1:
                setattr(part, key, type(value)(0))  # configurations check their types
        for key, value in _ALWAYS.items():
            if hasattr(part, key):
                setattr(part, key, value)
    model, loaded = _load(auto, path_or_id, what, config=config, dtype=dtype, output_loading_info=True)
    _check_loaded(model, loaded, path_or_id, head)
    return model


def _check_loaded(model: Any, loaded: Mapping[str, Any], path_or_id: PathOrId, head: str) -> None:
    """That every weight but those of `head` is the checkpoint's: one that it lacks would be another one at every load.

    Raises:
        UserError: weights are missing, layers would be left out, weights are no numbers, or adapters beside them were loaded, too.
    """
    if missing := sorted(name for name in loaded["missing_keys"] if not (head and name.startswith(f"{head}."))):
        raise UserError(
            f"{path_or_id} lacks {len(missing)} of the weights of {type(model).__name__} ({', '.join(missing[:3])}, ...): it is"
            " the checkpoint of another kind of model, or its config.json is another one's"
        )
    kinds = {_unnumbered(name) for name in model.state_dict()}
    if more := sorted(name for name in loaded["unexpected_keys"] if _unnumbered(name) in kinds):
        raise UserError(
            f"{path_or_id} holds {len(more)} weights of further layers ({', '.join(more[:3])}, ...) than its config.json counts, which would"
            " be left out: restore the config.json that belongs to it"
        )
    if wrong := _no_numbers(model, Path(path_or_id).expanduser()):
        raise UserError(
            f"{path_or_id}: {len(wrong)} of its weights are no finite floating point numbers ({', '.join(wrong[:3])}, ...): it was damaged, its"
            " training went wrong, or it is quantised; give another checkpoint"
        )
    if getattr(model, "_hf_peft_config_loaded", False):
        raise UserError(f"{path_or_id} holds adapters beside a model: merge them (peft's merge_and_unload), or {_MOVE}")
    shared, own = model.get_input_embeddings(), model.get_output_embeddings()
    if own is not None and own.weight is not shared.weight:  # as the checkpoint has it, whatever its configuration says
        for part in _parts(model.config):
            if getattr(part, "tie_word_embeddings", False):
                part.tie_word_embeddings = False


def _unnumbered(name: str) -> str:
    return re.sub(r"\.\d+\.", ".N.", name)


def _no_numbers(model: Any, folder: Path) -> list[str]:
    """Names of parameters that hold something else than finite numbers, or that files in `folder` have as whole ones."""
    plain = {name: value for name, value in model.named_parameters() if value.is_floating_point() and value.numel()}
    wrong = {name for name, value in plain.items() if value.element_size() > 1 and not _finite(value)}
    if getattr(model.config, "quantization_config", None) is None:
        for file in folder.glob("*.safetensors"):
            with file.open("rb") as stream:
                head = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
            wrong |= {name for name in head.keys() & plain.keys() if re.match("[IU]|BOOL", head[name]["dtype"])}
    return sorted(wrong)


def _finite(value: torch.Tensor) -> bool:
    with torch.no_grad():
        return bool(torch.stack(value.aminmax()).isfinite().all())


def load_config(path_or_id: PathOrId, what: str, **changes: Any) -> Any:
    """The configuration of a folder or hub id. Raises UserError if there is none."""
    name, folder = os.fspath(path_or_id), Path(path_or_id).expanduser()
    if _looks_local(name) and not (folder / "config.json").is_file():
        adapters = ": it holds adapters alone; merge them into their model (peft's merge_and_unload)"
        lacks = adapters if (folder / "adapter_config.json").is_file() else ": it has no config.json"
        raise UserError(f"{name} is not {what}{lacks}")
    config = _load(AutoConfig, name, what, **changes)
    if config.is_encoder_decoder or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or not _looks_back(config):
        raise UserError(f"{name} is not {what}: models of type {config.model_type} do not write on from a prompt")
    return config


def _looks_back(config: Any) -> bool:
    """Whether each token sees only those before it; encoders that can be built as decoders say it in their configuration."""
    return getattr(config, "is_decoder", True) or config.model_type.startswith(_DECODERS)


def _parts(config: Any) -> Iterator[Any]:
    """A configuration and those nested in it."""
    yield config
    for value in vars(config).values():
        if isinstance(value, PreTrainedConfig):
            yield from _parts(value)


def _load(loader: Any, name: PathOrId, what: str, **options: Any) -> Any:
    name = os.fspath(name)
    try:
        place = str(Path(name).expanduser()) if _looks_local(name) else name
        return loader.from_pretrained(place, trust_remote_code=False, **options)
    except Exception as error:  # a checkpoint may be wrong in every way; the cause stays attached
        reason = (
            _OWN_CODE if "trust_remote_code" in str(error) else " ".join(str(error).split()) or type(error).__name__
        )
        if isinstance(error, KeyError):
            reason = f"its files lack the entry {error}: restore them, or give another checkpoint"
        if pointers := _pointers(Path(name).expanduser()):
            reason = f"{pointers[0].name} is a pointer of Git LFS and no weights: run `git lfs pull` there"
        taken = "" if _looks_local(name) else f" (no folder {name} is here, so it was taken for a hub id)"
        raise UserError(f"cannot load {what} from {name}{taken}: {reason[:200]}") from error


def _pointers(folder: Path) -> list[Path]:
    """Files of weights that git has left as pointers."""
    files = [file for kind in ("*.safetensors", "*.bin") for file in sorted(folder.glob(kind)) if file.is_file()]
    return [file for file in files if file.stat().st_size < _POINTER_SIZE and file.read_bytes().startswith(_POINTER)]


def _looks_local(name: str) -> bool:
    return name.startswith((".", "/", "~")) or Path(name).exists()


def describe(model: nn.Module) -> dict[str, int]:
    """Counts of all and of trained parameters (shared ones once)."""
    count = {id(p): (getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in model.parameters()}
    return {
        "parameters": sum(n for n, _ in count.values()),
        "trained_parameters": sum(n for n, trained in count.values() if trained),
    }
