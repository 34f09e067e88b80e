"""The fast decoder against the model's own generate and forward pass."""

from __future__ import annotations

from copy import deepcopy
from functools import cache, wraps
from typing import Any

import pytest
import torch
import zoo
from rl_toys import EOS, PAD, WORDS, llama, starcoder, tokenizer
from scipy.stats import chi2

from base.errors import UserError
from base.models.arithmetic import set_arithmetic
from base.models.chat import completion_text, prompt_ids
from base.models.decoder import FAMILIES, FastDecoder
from base.models.draws import draw
from base.models.generate import HFGenerate, choose
from base.models.load import set_trained
from base.types import Message


def prompts(n: int, longest: int, seed: int = 0) -> list[list[int]]:
    g = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, longest + 1, (n,), generator=g).tolist()
    return [torch.randint(4, WORDS, (size,), generator=g).tolist() for size in sizes]


@cache
def _trained() -> Any:
    model = starcoder(seed=3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    g = torch.Generator().manual_seed(0)
    for _ in range(150):
        starts = torch.randint(20, 50, (16, 1), generator=g)
        ids = (starts + torch.arange(24)).clamp(max=51)
        ids[ids >= 50] = EOS
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.eval()


def trained_briefly() -> Any:
    """A model that has learnt to count up to the end token, so that rows end at different places."""
    return deepcopy(_trained())


@pytest.mark.parametrize("kind", ["random", "trained", "lora", "one head group", "all heads apart"])
def test_greedy_equals_stock_generate(kind: str) -> None:
    if kind == "random":
        model: Any = starcoder(std=0.3)
    elif kind == "trained":
        model = trained_briefly()
    elif kind == "lora":
        model = set_trained(starcoder(std=0.3), "lora:4")
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
    else:
        model = starcoder(std=0.3, kv_heads=1 if kind == "one head group" else 4)
    asked = [*prompts(9, 40), [45, 46, 47], [30], [48, 49]]
    fast = FastDecoder(model, (EOS,))(asked, max_new_tokens=30, seed=0, temperature=0)
    stock = HFGenerate(model, (EOS,), PAD)(asked, max_new_tokens=30, seed=0, temperature=0)
    assert fast.completions == stock.completions
    if kind == "trained":
        assert len({len(row) for row in fast.completions}) > 2  # rows really left the batch at different times


@pytest.mark.parametrize("adapters", [False, True])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "starcoder2"])
def test_greedy_equals_stock_generate_in_every_family(family: str, adapters: bool) -> None:
    model = zoo.model(family)
    if adapters:
        model = set_trained(model, "lora:4")
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
    asked = [*prompts(9, 40), [45, 46, 47], [30], [48, 49]]
    fast = FastDecoder(model, (EOS,))(asked, max_new_tokens=30, seed=0, temperature=0)
    stock = HFGenerate(model, (EOS,), PAD)(asked, max_new_tokens=30, seed=0, temperature=0)
    assert fast.completions == stock.completions
    assert len(set(map(tuple, fast.completions))) > 3, "the prompts make a difference"


@pytest.mark.parametrize("family", ["starcoder2", "llama"])
def test_rows_that_do_not_fit_side_by_side_are_decoded_in_turn(family: str) -> None:
    model, asked = zoo.model(family), prompts(5, 20)
    whole = FastDecoder(model, (EOS,))(asked, max_new_tokens=10, seed=0, samples=3)
    parts = FastDecoder(model, (EOS,), cache=100_000)(asked, max_new_tokens=10, seed=0, samples=3)
    assert parts.completions == whole.completions


def test_stock_generate_reads_the_prompt_of_a_group_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = zoo.model("llama"), prompts(3, 20)
    apart = [HFGenerate(model, (EOS,), PAD)([p], max_new_tokens=8, seed=0, temperature=0) for p in asked]
    read: list[torch.Size] = []
    forward = type(model).forward

    @wraps(forward)  # generate looks at the names of its arguments
    def watched(self: Any, input_ids: Any = None, **options: Any) -> Any:
        read.append(input_ids.shape)
        return forward(self, input_ids=input_ids, **options)

    monkeypatch.setattr(type(model), "forward", watched)
    got = HFGenerate(model, (EOS,), PAD)(asked, max_new_tokens=8, seed=0, samples=4, temperature=0)
    assert got.completions == [row for one in apart for row in one.completions * 4]
    assert read[0] == (3, max(map(len, asked)) - 1), "three prompts, but for their last tokens"
    assert all(shape == (12, 1) for shape in read[1:])


def test_log_probabilities_equal_a_full_forward_pass() -> None:
    model = trained_briefly()
    asked = prompts(3, 12)
    got = FastDecoder(model, (EOS,))(asked, max_new_tokens=20, seed=1, samples=4, temperature=0.7)
    for i, (completion, logprobs) in enumerate(zip(got.completions, got.logprobs, strict=True)):
        prompt = asked[i // 4]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1] / 0.7
        expected = logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]
        assert torch.allclose(torch.tensor(logprobs), expected, atol=2e-5)


def test_the_first_two_tokens_follow_the_models_distribution() -> None:
    """Chi-square over token pairs, expected counts from forward passes; the seed is fixed, the level 0.1 %."""
    model, prompt, n = starcoder(std=0.25, seed=5), [10, 11, 12], 20000
    drawn = FastDecoder(model, ())([prompt], max_new_tokens=2, seed=7, samples=n, temperature=1.3).completions
    with torch.no_grad():
        first = (model(torch.tensor([prompt])).logits[0, -1] / 1.3).softmax(-1)
        after = torch.tensor([[*prompt, token] for token in range(WORDS)])
        second = (model(after).logits[:, -1] / 1.3).softmax(-1)
    expected = (first[:, None] * second).flatten().double() * n
    pairs = torch.tensor(drawn)
    counts = torch.bincount(pairs[:, 0] * WORDS + pairs[:, 1], minlength=WORDS * WORDS).double()
    common = expected >= 5
    observed = torch.cat([counts[common], counts[~common].sum()[None]])
    expected = torch.cat([expected[common], expected[~common].sum()[None]])
    statistic = ((observed - expected) ** 2 / expected).sum().item()
    assert len(observed) > 50
    assert statistic < chi2.ppf(0.999, len(observed) - 1)


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    logits = torch.full((3, 4), float("-inf"))
    logits[:, 1] = 0.0
    tokens, scores = draw(logits, torch.tensor([0.0, 0.5, 1.0]), 1.0)
    assert tokens.tolist() == [1, 1, 1]
    assert scores.tolist() == [0.0, 0.0, 0.0]


def test_a_seed_fixes_the_draw_and_ranks_split_it() -> None:
    decoder = FastDecoder(starcoder(std=0.3), (EOS,))
    asked = prompts(4, 10)
    whole = decoder(asked, max_new_tokens=12, seed=4).completions
    assert decoder(asked, max_new_tokens=12, seed=4).completions == whole
    assert decoder(asked, max_new_tokens=12, seed=5).completions != whole
    assert decoder(asked[2:], max_new_tokens=12, seed=4, skip=2).completions == whole[2:]


def test_current_parameters_are_read() -> None:
    model = trained_briefly()
    decoder = FastDecoder(model, (EOS,))
    before = decoder([[20, 21, 22]], max_new_tokens=8, seed=0, temperature=0).completions
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(1.0)
    assert decoder([[20, 21, 22]], max_new_tokens=8, seed=0, temperature=0).completions != before


def test_bf16_products_stay_close() -> None:
    model = starcoder(std=0.2)
    asked = prompts(6, 20)
    exact = FastDecoder(model, (EOS,))(asked, max_new_tokens=1, seed=0, temperature=0).logprobs
    set_arithmetic(model, "bf16_matmul")
    half = FastDecoder(model, (EOS,))(asked, max_new_tokens=1, seed=0, temperature=0).logprobs
    assert exact != half
    assert torch.allclose(torch.tensor(exact), torch.tensor(half), atol=0.05)


def test_hf_generate_samples_by_seed_and_scores_its_tokens() -> None:
    model = llama(std=0.3)
    got = HFGenerate(model, (EOS,), PAD)([[5, 6], [7, 8, 9]], max_new_tokens=6, seed=3, samples=2)
    assert HFGenerate(model, (EOS,), PAD)([[5, 6], [7, 8, 9]], max_new_tokens=6, seed=3, samples=2) == got
    row = got.completions[3]
    with torch.no_grad():
        scores = model(torch.tensor([[7, 8, 9, *row]])).logits[0, 2:-1].log_softmax(-1)
    expected = scores.gather(1, torch.tensor(row)[:, None])[:, 0]
    assert torch.allclose(torch.tensor(got.logprobs[3]), expected, atol=1e-5)


def test_the_generator_is_chosen_by_architecture() -> None:
    assert choose(starcoder(), tokenizer()).name == "fast"
    assert choose(starcoder(), tokenizer(), "hf").name == "hf"
    assert choose(llama(), tokenizer()).name == "fast"
    for family, reason in (("gpt2", "architecture gpt2"), ("mistral", "architecture mistral")):
        assert choose(zoo.model(family), tokenizer()).name == "hf"
        with pytest.raises(UserError, match=reason):
            choose(zoo.model(family), tokenizer(), "fast")
    windowed = zoo.model("qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=0)
    assert choose(windowed, tokenizer()).name == "hf"


def test_prompts_beyond_the_context_are_refused() -> None:
    with pytest.raises(UserError, match="context of 96"):
        FastDecoder(starcoder(), (EOS,))([[5] * 90], max_new_tokens=20, seed=0)


def test_completion_text_starts_with_the_tag_that_the_prompt_holds() -> None:
    words = tokenizer()
    prompt = prompt_ids(words, [Message("user", "w1 w2")])
    assert words.decode(prompt).endswith("<think>")
    reply = words("w3 </think> w4")["input_ids"]
    assert completion_text(words, prompt, [*reply, EOS, PAD], (EOS,)) == "<think>w3 </think> w4"
    assert completion_text(words, prompt[:-1], reply, (EOS,)) == "w3 </think> w4"
