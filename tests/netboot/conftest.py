"""A network of its own for each test that asks for one."""

from collections.abc import Iterator

import pytest

from tests.netboot.wire import Network, a_network


@pytest.fixture
def network() -> Iterator[Network]:
    with a_network() as made:
        yield made
