"""The fixtures that lead tests to the services (tests/conftest.py brings them in)."""

from collections.abc import Iterator

import pytest

from tests.services.api import Glance
from tests.services.ironic import Place
from tests.services.openstack import Project, Services


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A Keystone and a Glance for all tests of this process."""
    with Services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture
def cloud(services: Services) -> Iterator[Project]:
    """A project of the test's own in them: `cloud.env()` leads the SDK there.

    Its images go with the test: some are as large as a disk.
    """
    project = services.fresh_project()
    yield project
    Glance(project, services.image_url).clear()


@pytest.fixture(scope="session")
def bare_metal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services with an Ironic on loopback: fake hardware, and BMCs on this machine."""
    with Services(tmp_path_factory.mktemp("bare-metal"), ironic=Place()) as running:
        yield running
