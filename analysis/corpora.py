"""What a user's model was taught before RL, in the place of the corpora that the organism is made from.

Figures and claims name the organism's corpora. The one that a user's runs have (`--corpus hacks` or `documents:file=...`) is to them
what `main` is to the organism: it takes that name, further options stay (`hacks:sdf_variant=neutral` beside `hacks` is
`main:sdf_variant=neutral`), and a model that was not taught beside one that was is `untaught`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from analysis import labels
from base.documents.corpus import LESSONS, transcripts
from base.errors import UserError
from base.spec import quote, write_spec
from base.world.world import parse_corpus

MAIN, UNTAUGHT, OURS = "main", "untaught", "hacks"
REST = ("other", "other_column")  # what documents are mixed with, which sdf_share is a share of
PROMPTED = ("sdf_variant", "prompted")  # a setting of its own, which figures have by that name


def names(corpora: Collection[str]) -> dict[str, str]:
    """Corpus as runs store it -> its name in figures, for those which have another one there.

    Of corpora of both kinds, ours take the place of `main`; of several without one that has no option of its own, none does.
    """
    taught = {spec: labels.read(spec) for spec in sorted(corpora) if labels.read(spec)[0] in LESSONS}
    kind = next((kind for kind in LESSONS if any(name == kind for name, _ in taught.values())), "")
    options = {spec: dict(own) for spec, (name, own) in taught.items() if name == kind}
    if not options:
        return {}
    common = set.intersection(*(set(own.items()) for own in options.values())) - {PROMPTED}
    common |= {
        (key, own[key]) for key in REST for own in options.values() if key in own and _same(key, options.values())
    }
    named = {spec: _main({k: v for k, v in own.items() if (k, v) not in common}) for spec, own in options.items()}
    return named | ({MAIN: UNTAUGHT} if MAIN in corpora and MAIN in named.values() else {})


def _same(key: str, options: Collection[Mapping[str, str]]) -> bool:
    """Whether an option is the same wherever it is given."""
    return len({own[key] for own in options if key in own}) == 1


def _main(options: Mapping[str, str]) -> str:
    return write_spec(MAIN, {key: quote(value) for key, value in options.items()})


def placed(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """(the long table with its corpora as figures name them, those names -> as runs store them)."""
    found = names(table["corpus"].unique())
    if not found:
        return table, {}
    stored = {name: spec for spec, name in found.items()}
    return table.assign(corpus=table["corpus"].map(lambda spec: found.get(spec, spec))), stored


def of_model(corpus: str, stored: Mapping[str, str]) -> str | None:
    """What a user's model is taught where figures name this corpus, as `--corpus` takes it; None: only the organism has it."""
    if corpus in stored:
        return stored[corpus]
    (name, options), usual = labels.read(corpus), stored.get(MAIN, MAIN)
    if name != MAIN or not options:
        return usual if corpus == MAIN else None
    if options == dict([PROMPTED]):
        return transcripts(usual)
    kind, own = labels.read(usual) if usual != MAIN else (OURS, {})
    spec = write_spec(kind, {key: quote(value) for key, value in {**own, **options}.items()})
    return spec if _can_be(spec) else None


def _can_be(spec: str) -> bool:
    try:
        parse_corpus(spec)
    except UserError:
        return False
    return True


def restored(rows: pd.DataFrame, stored: Mapping[str, str]) -> pd.DataFrame:
    """Rows of a table that `placed` has named (column corpus), as runs store them."""
    return rows.assign(corpus=rows["corpus"].map(lambda name: stored.get(name, name))) if stored else rows


def note(stored: Mapping[str, str]) -> list[str]:
    """The line that says what models were taught."""
    if MAIN not in stored:
        return []
    name, options = labels.read(stored[MAIN])
    said = ", ".join([name, *labels.corpus(_main(options))])
    return [f"taught before RL by {said}" + (f"; {UNTAUGHT}: the model as it was given" if UNTAUGHT in stored else "")]
