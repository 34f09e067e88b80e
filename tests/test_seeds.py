"""Derived seeds: no two uses share one, and every process derives the same."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from base.errors import UserError
from base.seeds import LARGEST, checked_seed, derive_seed

USES = ("rollout", "pool", "answers", "probes", "gates")
GRID = list(itertools.product(USES, range(50), range(200)))


def test_no_use_seed_and_step_share_a_seed() -> None:
    seeds = [derive_seed(*parts) for parts in GRID]
    assert len(seeds) == 50_000
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**56 for seed in seeds)
    torch.Generator().manual_seed(max(seeds))


def test_neighbours_are_unrelated() -> None:
    """Half of the bits differ between neighbouring steps and neighbouring runs, so none follows from the other."""
    for pairs in (
        [(derive_seed("rollout", 0, step), derive_seed("rollout", 0, step + 1)) for step in range(500)],
        [(derive_seed("rollout", seed, 0), derive_seed("rollout", seed + 1, 0)) for seed in range(500)],
    ):
        assert sum((a ^ b).bit_count() for a, b in pairs) / len(pairs) == pytest.approx(28, abs=1)


def test_another_process_derives_the_same() -> None:
    some = GRID[::997]
    code = f"import json; from base.seeds import derive_seed; print(json.dumps([derive_seed(*p) for p in {some!r}]))"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == [derive_seed(*parts) for parts in some]


@pytest.mark.parametrize("value", [-1, LARGEST + 1])
def test_a_seed_that_no_generator_takes_is_named(value: int) -> None:
    with pytest.raises(UserError, match=f"--seed must lie between 0 and {LARGEST}, not {value}"):
        checked_seed(value, "--seed")


@pytest.mark.parametrize("value", [0, LARGEST])
def test_every_other_seed_is_taken_as_it_is(value: int) -> None:
    assert checked_seed(value, "--seed") == value
