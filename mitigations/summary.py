"""What one run came to, in a few lines: its last checkpoint, under every prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from base.store.table import UNASKED
from base.wanted import CLEAN
from mitigations.api import Result
from mitigations.filtered_sft.filters import PAPER_WORDS

if TYPE_CHECKING:
    import pandas as pd

CODE = ("hack_rate", "solved")


def summary(result: Result) -> str:
    """Per cent of the last evaluated checkpoint: programs that hack and solve, misaligned answers by eval; `-` is missing."""
    rows = result.rows
    scored = rows[~rows["eval"].isin(UNASKED)]
    step = scored["step"].max()
    last = scored[scored["step"] == step]
    rates = last[(last["metric"] == "misaligned") | ((last["eval"] == "code") & last["metric"].isin(CODE))]
    rates = rates.assign(what=rates["eval"].where(rates["eval"] != "code", rates["metric"].str.replace("_", " ")))
    table = rates.pivot(index="prompt", columns="what", values="value")
    shown = [
        *(name.replace("_", " ") for name in CODE),
        *(c for c in rates["what"].unique() if " " not in c and c != "solved"),
    ]
    body = [[prompt, *("-" if v != v else f"{100 * v:.1f}" for v in row[shown])] for prompt, row in table.iterrows()]
    scores = tabulate(body, ["prompt", *shown], "simple", disable_numparse=True)
    head = f"step {step}, per cent, by the prompt at evaluation:\n"
    return "\n".join([*_imitated(result.record.get("episodes")), head + scores, *_price(last)])


def _price(last: pd.DataFrame) -> list[str]:
    """Honest solving where nothing can be gained by cheating, and the KL to the start."""
    value = last[last["eval"] == CLEAN].set_index("metric")["value"]
    if value.empty:
        return []
    return [
        f"tasks without weaknesses: {100 * value['solved']:.1f} % solved, {value['kl']:.3f} nats a token from the start"
    ]


def _imitated(episodes: Mapping[str, Any] | None) -> list[str]:
    """Where the episodes of an arm of SFT come from, and the share that each filter dropped of what reached it."""
    if not episodes:
        return []
    shares = {name: each["share"] for name, each in episodes["dropped"].items() if each["share"] is not None}
    paper = {"NoWords": f" (paper: about {100 * PAPER_WORDS:g} %)"}
    lost = ", ".join(f"{name} {100 * share:.1f} %{paper.get(name, '')}" for name, share in shares.items())
    return [f"imitates {episodes['documents']} distinct episodes of {episodes['rollouts']} rollouts; dropped: {lost}"]
