"""One warm environment for all tests of this folder."""

from collections.abc import Iterator

import pytest

from base.environments.graders.code import CodeEnvironment
from base.environments.sandbox import Limits


@pytest.fixture(scope="session")
def environment() -> Iterator[CodeEnvironment]:
    with CodeEnvironment(limits=Limits(cpu=2, wall=8)) as shared:
        yield shared
