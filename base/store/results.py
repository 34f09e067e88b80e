"""Results that ship with the code: one long table, and a manifest of what made it.

    RESULTS/table.parquet    every number of every finished run (base.store.table.COLUMNS)
    RESULTS/manifest.json    recipe, hash of the table, the record (run.json) of every run, of failed ones, too
    RESULTS/starts/          start checkpoints, laid out as a folder of runs (base.shipped)

Much of a record is the same in many runs: settings, engine, what made it, judges. In a manifest each such part stands once,
under the hash of its content, and runs refer to it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.errors import UserError
from base.spec import content_key
from base.store.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

# Of runs made by this code. Raise it when seeds, keys or settings of base change, so that older results are marked.
RECIPE = "0.3"
TABLE, MANIFEST, STARTS = "table.parquet", "manifest.json", "starts"
# Rows in an order in which like values stand beside each other, and columns in one piece: both pack smaller.
ORDER = ("eval", "metric", "run", "prompt", "step")
WHOLE: Mapping[str, Any] = {"dictionary_pagesize_limit": 1 << 26, "data_page_size": 1 << 26}
FORMER_TABLE = "table.csv.gz"  # of results as they were before; it is not read
SHIPPED = Path(__file__).parents[2] / "results"  # one folder a scale
NUMBERS = ("value", "n", "missing")
PARTS, LISTS, MAPS = ("scale", "engine"), ("sessions",), ("judges",)  # fields of a record that stand apart
LEVEL = 19  # of zstd: writing takes seconds, and the table is a sixth smaller than at the usual level
TIMING = "seconds"  # metrics that begin so are times: no two runs have the same


@dataclass(frozen=True)
class Manifest:
    """What made the runs of a results folder: the record of every run by its name; `sha256` is of the table's file."""

    recipe: str = RECIPE
    sha256: str = ""
    rows: int = 0
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def is_results(folder: Path) -> bool:
    """Whether a folder holds exported results, and not runs.

    Raises:
        UserError: results as earlier versions wrote them.
    """
    there = (folder / TABLE).is_file()
    if not there and (folder / FORMER_TABLE).is_file():
        raise UserError(
            f"{folder} is of an older version, whose table was {FORMER_TABLE}: export its runs again with this version, into"
            " another folder (python -m analysis export --runs DIR --results DIR)"
        )
    return there


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a results folder, with whole records; a folder without one has an empty one.

    Raises:
        UserError: it cannot be read, or a part is not what its hash says.
    """
    file = folder / MANIFEST
    if not file.is_file():
        return Manifest()
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        parts = stored["parts"]
        for name, part in parts.items():
            if part_key(part) != name:
                raise ValueError(f"part {name} is not what its hash says")
        runs = {name: _changed(record, parts.__getitem__) for name, record in stored["runs"].items()}
        return Manifest(str(stored["recipe"]), str(stored["sha256"]), int(stored["rows"]), runs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: not a manifest ({error}); write it with `python -m analysis export`") from error


def write_results(
    folder: Path, table: pd.DataFrame, runs: Mapping[str, Mapping[str, Any]], recipe: str = RECIPE
) -> Path:
    """Writes the table and the manifest of its runs, both or neither; returns the table's path. Equal results are equal files,
    in whatever order they were merged.
    """
    packed = io.BytesIO()
    as_shipped(table).sort_values([*ORDER], ignore_index=True).to_parquet(
        packed, index=False, compression="zstd", compression_level=LEVEL, row_group_size=max(1, len(table)), **WHOLE
    )
    manifest = Manifest(recipe, hashlib.sha256(packed.getvalue()).hexdigest(), len(table), runs)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole({folder / TABLE: packed.getvalue(), folder / MANIFEST: manifest_text(manifest).encode()})
    return folder / TABLE


def manifest_text(manifest: Manifest) -> str:
    """A manifest as JSON, a line for each run and each part."""
    parts: dict[str, Any] = {}

    def put(part: Any) -> str:
        key = part_key(part)
        parts[key] = part
        return key

    runs = {name: _changed(record, put) for name, record in manifest.runs.items()}
    head = {"recipe": manifest.recipe, "rows": manifest.rows, "sha256": manifest.sha256}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for name, found in (("parts", parts), ("runs", runs)):
        rows = [f"{json.dumps(key)}: {json.dumps(found[key], sort_keys=True)}" for key in sorted(found)]
        lines.append(f"{json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def part_key(part: Any) -> str:
    """The name of a part in a manifest: the hash of its content."""
    return content_key(part)[:16]


def _changed(record: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A record with its parts changed: into their keys, or back."""
    whole = {name: change(record[name]) for name in PARTS if name in record}
    lists = {name: [change(part) for part in record[name]] for name in LISTS if name in record}
    maps = {name: {key: change(part) for key, part in record[name].items()} for name in MAPS if name in record}
    return {**record, **whole, **lists, **maps}


def as_shipped(table: pd.DataFrame) -> pd.DataFrame:
    """A table as it would be read from results: values with the significant digits that ship, six, and of times three."""
    import pandas as pd

    numbers = {name: pd.to_numeric(table[name]).astype(float) for name in NUMBERS}
    times = table["metric"].astype(str).str.startswith(TIMING)
    value = numbers["value"].map("{:.6g}".format).astype(float)
    numbers["value"] = value.where(~times, value.map("{:.3g}".format).astype(float))
    return table.assign(**numbers)


def read_table(folder: Path, categories: Sequence[str] = ()) -> pd.DataFrame:
    """The table of a results folder, columns as stored (analysis.table.check gives them their types), or as `categories`, which
    is quicker where a few texts fill millions of rows.

    Raises:
        UserError: it cannot be read, or is not the one that the manifest beside it describes.
    """
    import pandas as pd
    import pyarrow

    path = folder / TABLE
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); write it with `python -m analysis export`") from error
    said = read_manifest(folder)
    if said.sha256 and hashlib.sha256(stored).hexdigest() != said.sha256:
        raise UserError(f"{path}: not the table that {MANIFEST} describes (its hash differs): restore both from git")
    try:
        table = pd.read_parquet(io.BytesIO(stored), read_dictionary=[*categories])
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: not a Parquet table ({error}); write it with `python -m analysis export`") from error
    if said.sha256 and len(table) != said.rows:
        differs = f"it has {len(table)} rows, not {said.rows}"
        raise UserError(f"{path}: not the table that {MANIFEST} describes ({differs}): restore both from git")
    return table
