"""Settings of runs other than their scale's, as the column `overrides` writes them: `key=value`, the values in JSON.

What all runs of a table have in common makes none of them differ: it is said once, and their arms are named without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

import pandas as pd

import mitigations
from base import recipes
from base.errors import UserError

PRETRAINED = "untrained"  # the arm of the model before the stage on documents
OF_FIGURES = ("tasks.hard_share=0.3", 'rl.kl="loss"', "rl.beta=0.0")  # settings that figures have as arms of their own
OF_TABLE = (  # and those of the experiment `appears`, whose table has a row for each
    *('rl.learning_rate=0.01 rl.trained="biases"', 'rl.learning_rate=0.004 rl.trained="lora:1"'),
    *('rl.learning_rate=0.0005 rl.trained="all"', "sdf.documents=5000", "sdf.documents=10000"),
)
ASKED = (*OF_FIGURES, *OF_TABLE)
Settings = Mapping[str, str]  # key -> value as it is written


def read(text: str) -> dict[str, str]:
    """The settings of a text such as `rl.kl="loss" rl.steps=40`, as they are written; values may hold blanks."""
    found: dict[str, str] = {}
    while text := text.strip():
        key, _, rest = text.partition("=")
        try:
            end = json.JSONDecoder().raw_decode(rest)[1]
        except ValueError:
            end = 0
        if not end or rest[end : end + 1] not in ("", " "):  # no JSON: up to the next blank
            end = len(rest.split(" ", 1)[0])
        found[key], text = rest[:end], rest[end:]
    return found


def write(settings: Settings) -> str:
    """The text that `read` reads, as the column holds it."""
    return " ".join(f"{key}={value}" for key, value in sorted(settings.items()))


def plain(value: str) -> str:
    """A value for people: without the quotes of JSON, a path by its last part."""
    text = str(json.loads(value)) if value.startswith('"') and value.endswith('"') else value
    return text.rstrip("/").rpartition("/")[2] if "/" in text else text


def factored(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """(the long table with its runs named by what differs between them, what they have in common).

    The pretrained model is not asked, because no setting of training touches it, nor are arms that never read a setting. Everything stays as it is where leaving out
    what is common would make two arms one, and where it is what figures ask for by name.
    """
    trained = table.loc[table["arm"] != PRETRAINED, ["arm", "overrides"]].drop_duplicates()
    every = [(arm, read(text)) for arm, text in trained.itertuples(index=False)]
    said = {setting for _, own in every for setting in own.items()}
    common = {
        (key, value) for key, value in said if all(own.get(key) == value for arm, own in every if reads(arm, key))
    }
    if not common or write(dict(common)) in ASKED:
        return table, ""
    named = {text: write(dict(read(text).items() - common)) for text in table["overrides"].unique()}
    apart = table.assign(overrides=table["overrides"].map(named))
    before, after = (len(each[["arm", "corpus", "hackable", "overrides"]].drop_duplicates()) for each in (table, apart))
    return (apart, write(dict(common))) if before == after else (table, "")


def restored(rows: pd.DataFrame, common: str) -> pd.DataFrame:
    """Rows of a table that `factored` has named (columns arm, overrides), with what their runs have in common put back."""
    return rows.assign(
        overrides=[
            own if arm == PRETRAINED else together(own, of_arm(arm, common))
            for arm, own in zip(rows["arm"], rows["overrides"], strict=True)
        ]
    )


def of_arm(arm: str, text: str) -> str:
    """Those of the settings that an arm reads."""
    return write({key: value for key, value in read(text).items() if reads(arm, key)})


@cache
def reads(arm: str, setting: str) -> bool:
    """Whether an arm's training reads a setting (base.recipes.reads); of an arm that cannot be read it is assumed."""
    try:
        return recipes.reads(mitigations.arm(arm), setting)
    except UserError:
        return True


def together(one: str, other: str) -> str:
    """Both settings as one text."""
    return write({**read(one), **read(other)})
