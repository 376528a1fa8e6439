"""An image service for each test: the stand-in, and a real Glance where time is taken for it."""

from collections.abc import Iterator

import pytest

from bakery.openstack.glance.images import Images
from tests.openstack.glance import standin
from tests.services.openstack import Project

REAL = (pytest.mark.slow, pytest.mark.xdist_group("services"))


@pytest.fixture
def glance(cloud: Project, monkeypatch: pytest.MonkeyPatch) -> Images:
    """A fresh project on a real Glance."""
    for key, value in cloud.env().items():
        monkeypatch.setenv(key, value)
    return Images.of_cloud(None)


@pytest.fixture(params=["stand-in", pytest.param("glance", marks=REAL)])
def images(request: pytest.FixtureRequest) -> Iterator[Images]:
    """An empty image service; each test asks both."""
    if request.param == "glance":
        yield request.getfixturevalue("glance")
        return
    with standin.running() as (made, _):
        yield made
