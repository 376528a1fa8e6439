from pathlib import Path

import pytest

from tests.recovery import pairs
from tests.recovery.pairs import Pair


@pytest.fixture(scope="session")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder: Path = tmp_path_factory.mktemp("rsa")
    return pairs.rsa(folder)


@pytest.fixture(scope="session")
def age(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder: Path = tmp_path_factory.mktemp("age")
    return pairs.x25519(folder)


@pytest.fixture(params=["age", "rsa"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Each kind of key in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Pair)
    return found
