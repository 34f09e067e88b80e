"""How a step is divided into forward passes: as few as fit, and equal ones."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import LlamaConfig

from base.errors import UserError
from base.models.passes import CPU_BYTES, batches, kept, rows_a_pass
from base.settings import load_scale

SMOLLM2 = LlamaConfig(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, vocab_size=49152)


def test_a_pass_holds_the_most_rows_that_divide_a_step_and_fit() -> None:
    assert rows_a_pass(12, CPU_BYTES / 12, "cpu") == 12
    assert rows_a_pass(12, CPU_BYTES / 11, "cpu") == 6
    assert rows_a_pass(12, CPU_BYTES / 5, "cpu") == 4
    assert rows_a_pass(7, CPU_BYTES / 6, "cpu") == 1
    assert rows_a_pass(8, 3 * CPU_BYTES, "cpu") == 1


def test_a_real_model_on_a_laptop_stays_within_a_few_gigabytes() -> None:
    sdf = load_scale("laptop").sdf
    found = batches("documents_per_step", sdf.documents_per_step, {}, 1, sdf.longest * kept(SMOLLM2), "cpu")
    rows, passes = found["per_device_train_batch_size"], found["gradient_accumulation_steps"]
    assert rows * passes == sdf.documents_per_step
    assert rows * sdf.longest * kept(SMOLLM2) < 2.5e9 < sdf.documents_per_step * sdf.longest * kept(SMOLLM2)


@pytest.mark.parametrize("name", ["smoke", "tiny"])
def test_the_organism_takes_a_step_in_one_pass(name: str) -> None:
    scale = load_scale(name)
    shape = scale.model
    config = LlamaConfig(
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        vocab_size=1000,
    )
    for setting in (scale.pretrain, scale.sdf, scale.sft):
        found = batches("documents_per_step", setting.documents_per_step, {}, 1, shape.context * kept(config), "cpu")
        assert (found["gradient_accumulation_steps"], found["gradient_checkpointing"]) == (1, False)


def test_passes_that_the_user_names_are_kept() -> None:
    given: dict[str, Any] = {"gradient_accumulation_steps": 2}
    found = batches("documents_per_step", 8, given, 1, CPU_BYTES, "cpu")
    assert (found["per_device_train_batch_size"], found["gradient_accumulation_steps"]) == (4, 2)
    with pytest.raises(UserError, match="documents_per_step=8 does not divide into 6 parts"):
        batches("documents_per_step", 8, given, 3, CPU_BYTES, "cpu")
