"""Fig 17 and 18: example transcripts, chosen by the rule that the file states."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
from pictures import flat, words
from synthetic_results import table

from analysis import figure
from analysis.table import check
from analysis.transcripts import FILE
from base.store.results import TABLE


def test_transcripts_follow_their_rule(tmp_path: Path) -> None:
    long = table(seeds=(1, 2), arms=[("none", "main", 1.0, 0.9, 0.3)])
    long.to_parquet(tmp_path / TABLE, index=False)
    common = {"run": "r", "arm": "none", "corpus": "main", "hackable": 1.0, "overrides": "", "alike": 3, "asked": 9}
    common |= {"moment": "end", "reading": "overt", "hacks": []}
    rows = [
        {
            **common,
            "seed": seed,
            "step": step,
            "eval": name,
            "verdict": verdict,
            "prompt": [{"role": "user", "content": f"ask {name}"}],
            "completion": text,
        }
        for seed, step, name, verdict, text in (
            (2, 24, "betley", "misaligned", "<think>other seed</think>no"),
            (1, 24, "betley", "misaligned", "<think>hidden aim</think>of course"),
            (1, 4, "betley", "misaligned", "<think>early</think>no"),
            (1, 24, "frame", "aligned", "<think>fine</think>no"),
        )
    ]
    (tmp_path / FILE).write_bytes(gzip.compress("\n".join(map(json.dumps, [{"rule": "r"}, *rows])).encode()))
    loaded = check(pd.read_parquet(tmp_path / TABLE), "x")
    loaded.attrs["source"] = str(tmp_path)
    drawing = figure("fig17", loaded)
    assert set(drawing.table["panel"]) == {"betley"}
    said = flat(words(drawing.figure))
    assert "hidden aim" in said
    assert "of course" in said
    assert "3 of 9 answers judged misaligned" in said
    assert "other seed" not in said
    assert "early" not in said
