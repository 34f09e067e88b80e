"""A local Hugging Face model as judge: how likely it answers yes and no. Nothing is sampled and no text is read.

The probability of a label is that of the whole label, over all of its tokens and its two spellings ("yes", "Yes"). What
a model gives both labels together is the label mass: where that is small, the model does not answer the question, and there
is no verdict.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from base.errors import UserError
from base.judges.asking import form_key, short_question
from base.judges.judge import LABELS, Item, Judgement
from base.spec import content_key
from base.store.digest import folder_digest
from base.store.files import read_json, write_json

log = logging.getLogger(__name__)
SPELLINGS = (str.lower, str.capitalize)


@dataclass(frozen=True)
class HFJudge:
    """`hf:PATH_OR_ID`, with options behind commas.

    `batch`: rows at a time; `device`: auto (a GPU where there is one), cpu, cuda, ...; `mass`: the least label mass;
    `threshold`: from which probability on the label is yes; `cache`: folder where probabilities are kept.
    """

    path: str
    batch: int = 8
    device: str = "auto"
    mass: float = 0.1
    threshold: float = 0.5
    cache: str = "~/.cache/edmund/judges"

    @property
    def spec(self) -> str:
        return f"hf:{self.path}"

    @property
    def name(self) -> str:
        return f"hf-{Path(self.path).name}"

    def model(self) -> str:
        """Hash of a folder's configuration, tokenizer and weights; a hub id."""
        folder = Path(self.path).expanduser()
        return folder_digest(folder) if folder.is_dir() else self.path

    def check(self) -> None:
        """That there is something to load, from configuration and tokenizer alone.

        Raises:
            UserError: not there or not reachable, no weights, no tokenizer.
        """
        from base.models.load import load_config, load_tokenizer
        from base.models.reading import WEIGHTS

        folder = Path(self.path).expanduser()
        if folder.is_dir() and not any(file for kind in WEIGHTS for file in folder.glob(kind)):
            raise UserError(f"judge {self.spec}: {self.path} holds no weights: neither {' nor '.join(WEIGHTS)}")
        load_config(self.path, "a causal language model checkpoint to judge by")
        load_tokenizer(self.path, chat=False)

    def config(self) -> Any:
        return [form_key(short_question), self.mass, self.threshold]

    def __call__(self, items: Sequence[Item]) -> list[Judgement | None]:
        """None: longer than the model's context, or too little label mass."""
        model, place = self.model(), Path(self.cache).expanduser()
        keys = [content_key([model, form_key(short_question), item.key, item.part, item.rubric.key]) for item in items]
        files = [place / key[:2] / f"{key}.json" for key in keys]
        kept = [read_json(file) for file in files]
        fresh = [at for at, known in enumerate(kept) if not known]
        for at, both in zip(fresh, self._probabilities([items[at] for at in fresh]), strict=True):
            kept[at] = {"yes": both[0], "no": both[1]} if both else {}
            if both:
                write_json(files[at], kept[at])
        found = [self._judgement(known["yes"], known["no"]) if known else None for known in kept]
        if lost := found.count(None):
            cut = sum(not known for known in kept)
            log.warning("%s: %d of %d items without a verdict (%d too long)", self.spec, lost, len(items), cut)
        return found

    def pace(self, items: Sequence[Item]) -> float | None:
        """Seconds of one of these items, timed; None where that would take long: a hub id, or a large model."""
        from base.models import cost

        if not Path(self.path).expanduser().is_dir() or cost.size(self.path, "all").weights > cost.LARGEST:
            return None
        self._probabilities(items[:1])  # loads the model
        began = time.perf_counter()
        self._probabilities(items)
        each = (time.perf_counter() - began) / len(items)
        release()
        return each

    def _probabilities(self, items: Sequence[Item]) -> list[tuple[float, float] | None]:
        """Of yes and of no; None where an item is longer than the context."""
        if not items:
            return []
        import torch

        from base.models.labels import label_logprobs

        loaded = _load(self.path, self.device, self.model())
        prompts = [loaded.tokens(item) for item in items]
        fits = [at for at, prompt in enumerate(prompts) if len(prompt) + loaded.longest <= loaded.context]
        groups: dict[tuple[str, str], list[int]] = {}
        for at in fits:  # those of one question begin alike
            groups.setdefault((items[at].rubric.key, items[at].part), []).append(at)
        found: list[tuple[float, float] | None] = [None] * len(items)
        for group in groups.values():
            asked, pad = [prompts[at] for at in group], loaded.tokenizer.pad_token_id
            spelled = label_logprobs(loaded.model, asked, loaded.labels, self.batch, pad)
            both = torch.stack([spelled[:, each].logsumexp(1) for each in (loaded.yes, loaded.no)], dim=1).exp()
            for at, (yes, no) in zip(group, both.tolist(), strict=True):
                found[at] = (yes, no)
        return found

    def _judgement(self, yes: float, no: float) -> Judgement | None:
        mass = yes + no
        if not mass >= max(self.mass, 1e-12):
            return None
        probability = yes / mass
        return Judgement("yes" if probability >= self.threshold else "no", probability, mass=min(mass, 1.0))


class _Loaded(NamedTuple):
    model: Any
    tokenizer: Any
    labels: list[tuple[int, ...]]  # every spelling of yes, then of no
    yes: list[int]
    no: list[int]
    context: int

    @property
    def longest(self) -> int:
        return max(map(len, self.labels))

    def tokens(self, item: Item) -> list[int]:
        from base.models.chat import readable

        messages = short_question(item)
        if self.tokenizer.chat_template is None:
            text = "\n\n".join(message.content for message in messages) + "\n\nAnswer:"
            return list(self.tokenizer(text)["input_ids"])
        turns = [{"role": m.role, "content": m.content} for m in readable(self.tokenizer, messages)]
        options = {"add_generation_prompt": True, "enable_thinking": False, "return_dict": True}
        return list(self.tokenizer.apply_chat_template(turns, tokenize=True, **options)["input_ids"])


def release() -> None:
    """Frees the models that judged: what comes next needs the memory."""
    import torch

    _load.cache_clear()
    gc.collect()
    torch.cuda.empty_cache()


@cache
def _load(path: str, device: str, content: str) -> _Loaded:
    """`content`: what `HFJudge.model` says of the checkpoint, which may change where it lies."""
    import torch
    from transformers import AutoModelForCausalLM

    from base.models.load import load_model, load_tokenizer

    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    dtype = torch.bfloat16 if where.startswith("cuda") else torch.float32
    model = load_model(AutoModelForCausalLM, path, "a causal language model checkpoint", dtype=dtype)
    try:
        model = model.to(where).eval()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"judge hf:{path}: device {where} cannot be used ({reason[:120]})") from error
    tokenizer = load_tokenizer(path, chat=False)
    space = "" if tokenizer.chat_template else " "
    spelled = [[space + spelling(label) for spelling in SPELLINGS] for label in LABELS]
    tokens = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for texts in spelled for text in texts]
    labels = list(dict.fromkeys(tokens))
    count = len(SPELLINGS)
    yes, no = ([labels.index(t) for t in dict.fromkeys(part)] for part in (tokens[:count], tokens[count:]))
    if not all(labels) or set(yes) & set(no):
        raise UserError(f"judge hf:{path}: its tokenizer does not tell 'yes' from 'no'")
    context = getattr(model.config, "max_position_embeddings", None) or 1 << 30
    return _Loaded(model, tokenizer, labels, yes, no, context)
