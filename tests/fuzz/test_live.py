"""The servers take messages that no node would send, and answer a node all the same."""

import pytest

from tests.fuzz import live

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("namespaces")]


def test_mutated_messages_leave_the_servers_as_they_were():
    told, wrong = live.run(2000, seed=1)
    assert wrong == []
    assert {one.kind for one in told} == set(live.SHARES)
    assert all(one.questions > one.messages // 64 for one in told)
