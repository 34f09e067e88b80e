"""A user's model and tasks, as small as they can be."""

from __future__ import annotations

import pytest
import zoo


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random Llama that reads 4096 bytes."""
    return zoo.reader(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty tasks in MBPP's format; every third one has a held-out test."""
    return zoo.adding(tmp_path_factory.mktemp("tasks"), 60, held_out=3)


@pytest.fixture
def own(model: str, tasks: str) -> list[str]:
    """What a command is told of them."""
    return ["--scale", "laptop", "--model", model, "--tasks", tasks]
