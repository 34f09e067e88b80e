"""What one run came to, in a few lines: its last checkpoint, under every prompt."""

from __future__ import annotations

from tabulate import tabulate

from base.store.table import UNASKED
from mitigations.api import Result

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
    return f"step {step}, per cent, by the prompt at evaluation:\n" + tabulate(
        body, ["prompt", *shown], "simple", disable_numparse=True
    )
