"""This file's folder is on the import path of every test below it: rl_toys and stage_toys are shared.

With `-n` (pytest-xdist) the tests of a file stay in one process and in order, as they share fixtures.
"""

from __future__ import annotations

from typing import Any

import pytest

# What takes minutes, the longest first: begun first, so that no process waits long for another at the end.
LONG = (
    "tests/test_whole_path.py",
    "tests/models/test_zoo.py",
    "tests/test_two_ranks.py",
    "tests/environments/test_attacks.py",
    "tests/rl/test_rl.py",
)
# Not beside each other: they look at what is of the whole machine (locks, the processes of a user, what outlives one).
HOST = ("tests/environments/test_attacks.py", "tests/environments/test_bounds.py", "tests/environments/test_sandbox.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        """A file is given to a process as a whole; those of HOST are one."""

        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "host" if file in HOST else file

    config.option.loadscopereorder = False  # the order is that of LONG
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # this is one of several processes
        items.sort(key=lambda item: rank(item.nodeid.split("::")[0]))


def rank(file: str) -> int:
    return LONG.index(file) if file in LONG else len(LONG)
