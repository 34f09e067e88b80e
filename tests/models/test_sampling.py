"""Whatever a checkpoint recommends, completions are drawn from the model's own distribution."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig
from zoo import EOS, PAD, direct, model, save, tokenizer

from base.engine import runtime
from base.errors import UserError
from base.models.generate import HFGenerate
from base.models.load import load_policy, set_trained
from base.models.save import save as write
from base.rl.batches import batch_plan
from base.rl.train import grpo_arguments
from base.settings import EngineSettings, RLSettings

PROMPTS = [[1, 5, 9, 10, 6], [1, 5, 30, 31, 32, 33, 34, 6]]

# Each would change what is drawn, or when it ends.
CHANGES: dict[str, Any] = {
    "max_length": 9,
    "max_new_tokens": 2,
    "min_length": 20,
    "min_new_tokens": 12,
    "early_stopping": True,
    "max_time": 1e-9,
    "stop_strings": ["w"],
    "num_beams": 3,
    "use_mtp": True,
    "cache_implementation": "static",
    "temperature": 0.1,
    "top_k": 1,
    "top_p": 0.01,
    "min_p": 0.9,
    "top_h": 0.1,
    "typical_p": 0.01,
    "epsilon_cutoff": 0.5,
    "eta_cutoff": 0.5,
    "repetition_penalty": 5.0,
    "encoder_repetition_penalty": 5.0,
    "length_penalty": 9.0,
    "no_repeat_ngram_size": 1,
    "encoder_no_repeat_ngram_size": 1,
    "bad_words_ids": [[i] for i in range(8, 60)],
    "renormalize_logits": True,
    "forced_bos_token_id": 8,
    "forced_eos_token_id": 8,
    "remove_invalid_values": True,
    "exponential_decay_length_penalty": (1, 9.0),
    "suppress_tokens": list(range(8, 60)),
    "begin_suppress_tokens": list(range(8, 60)),
    "sequence_bias": [[[9], 50.0]],
    "token_healing": True,
    "guidance_scale": 3.0,
    "watermarking_config": {"bias": 9.0, "seeding_scheme": "selfhash"},
    "num_return_sequences": 2,
    "prompt_lookup_num_tokens": 3,
    "assistant_early_exit": 1,
    "is_assistant": True,
    "penalty_alpha": 0.6,
    "dola_layers": "high",
    "diversity_penalty": 1.0,
    "num_beam_groups": 2,
    "constraints": [1],
    "force_words_ids": [[9]],
    "low_memory": True,
    "prefill_chunk_size": 2,
    "eos_token_id": [EOS, 9, 10, 11, 12],
    "pad_token_id": 9,
    "bos_token_id": 9,
    "decoder_start_token_id": 9,
}
# How results are handed over, and settings of an assistant model that is never given.
HARMLESS = {
    "do_sample",
    "use_cache",
    "cache_config",
    "max_cache_len",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "max_matching_ngram_size",
    "assistant_lookbehind",
    "target_lookbehind",
    "assistant_ensemble_weight",
    "speculation_type",
    "compile_config",
    "disable_compile",
    "continuous_batching_config",
    "transformers_version",
}


def draws(policy: Any) -> Any:
    return HFGenerate(policy, (EOS,), PAD)(PROMPTS, max_new_tokens=10, seed=3, samples=2, temperature=0.8)


@pytest.mark.parametrize("field", CHANGES)
def test_no_setting_of_the_checkpoint_changes_what_is_drawn(field: str) -> None:
    policy = model("llama")
    plain = draws(policy)
    setattr(policy.generation_config, field, CHANGES[field])
    assert draws(policy) == plain
    assert getattr(policy.generation_config, field) == CHANGES[field]  # and they are put back
    for i, (completion, logprobs) in enumerate(zip(plain.completions, plain.logprobs, strict=True)):
        expected = direct(policy, PROMPTS[i // 2], completion, 0.8)
        assert torch.allclose(torch.tensor(logprobs), expected, atol=1e-5)


def test_every_setting_that_transformers_knows_is_listed() -> None:
    known = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
    assert known <= CHANGES.keys() | HARMLESS


def test_settings_on_disk_and_under_adapters(tmp_path: Path) -> None:
    start = save(model("llama"), tokenizer(), tmp_path / "start")
    plain = draws(set_trained(model("llama"), "lora:2"))
    own = {"do_sample": True, "repetition_penalty": 5.0, "min_p": 0.9, "suppress_tokens": [8, 9], "eos_token_id": EOS}
    (start / "generation_config.json").write_text(json.dumps(own))
    assert draws(load_policy(start, "lora:2")) == plain


def test_what_is_saved_recommends_what_was_trained(tmp_path: Path) -> None:
    """Settings that transformers refuses to write (temperature without do_sample) cost no finished training."""
    start = save(model("llama"), tokenizer(), tmp_path / "start")
    own = {"temperature": 0.6, "top_p": 0.9, "repetition_penalty": 5.0, "eos_token_id": [EOS, 9], "pad_token_id": PAD}
    (start / "generation_config.json").write_text(json.dumps(own))
    policy = load_policy(start)
    policy.generation_config.pad_token_id = 5  # as TRL does
    write(policy, None, tmp_path / "saved")
    settings = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").generation_config
    assert (settings.eos_token_id, settings.repetition_penalty, settings.temperature) == ([EOS, 9], None, None)


def test_vllm_is_asked_for_the_models_own_distribution(tmp_path: Path) -> None:
    engine, settings = EngineSettings(precision="fp32"), RLSettings()
    args = grpo_arguments(settings, engine, batch_plan(settings), runtime.prepare(engine), 0, tmp_path)
    assert (args.top_p, args.top_k, args.min_p, args.repetition_penalty) == (1.0, 0, None, 1.0)
    assert args.generation_kwargs is None
    unlike = replace(settings, trainer={"repetition_penalty": 1.1})
    with pytest.raises(UserError, match="repetition_penalty cannot be set"):
        grpo_arguments(unlike, engine, batch_plan(settings), runtime.prepare(engine), 0, tmp_path)


def test_a_seed_fixes_the_draw_and_ranks_split_it() -> None:
    policy = model("llama")
    options: dict[str, Any] = {"max_new_tokens": 10, "seed": 4}
    whole = HFGenerate(policy, (EOS,), PAD)(PROMPTS, **options)
    assert HFGenerate(policy, (EOS,), PAD, rows=1)(PROMPTS, **options).completions == whole.completions
    assert HFGenerate(policy, (EOS,), PAD)(PROMPTS[1:], skip=1, **options).completions == whole.completions[1:]
