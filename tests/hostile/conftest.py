from pathlib import Path

import pytest

from tests.hostile.kitchen import Kitchen


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """The small real images, made when they are first asked for."""
    folder: Path = tmp_path_factory.mktemp("kitchen")
    return Kitchen(folder)
