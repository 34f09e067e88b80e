"""This file's folder is on the import path of every test below it: rl_toys and stage_toys are shared.

With `-n` the tests of a file stay in one process, as they share fixtures; so do the files of an `xdist_group`: those of
"host" look at what is of the whole machine (locks, processes of a user, what outlives one).
"""

from __future__ import annotations

import pytest

# Files that take long, the longest first: with `-n` nothing long is left to the end, when one process waits for another.
LONG = (
    "tests/test_whole_path.py",
    "tests/models/test_zoo.py",
    "tests/test_two_ranks.py",
    "tests/rl/test_rl.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    files = {item: item.path.relative_to(config.rootpath).as_posix() for item in items}
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(files[item]))
    if hasattr(config, "workerinput"):  # a process of `-n`
        items.sort(key=lambda item: LONG.index(files[item]) if files[item] in LONG else len(LONG))
