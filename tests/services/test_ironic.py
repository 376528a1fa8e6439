"""Ironic is real: it takes a node through its states, with images from the Glance beside it."""

import json

import pytest

from tests.services.openstack import SYSTEM

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bare-metal")]


def test_the_real_client_enrolls_a_node_and_makes_it_available(bare_metal):
    project = bare_metal.fresh_project()

    def client(*words: str) -> str:
        return str(project.client("baremetal", *words, cloud=SYSTEM).text)

    assert client("driver", "list", "-f", "value", "-c", "name").split() == [
        "fake-hardware",
        "ipmi",
    ]
    client("node", "create", "--driver", "fake-hardware", "--name", "first")
    client("node", "manage", "--wait", "120", "first")
    client("node", "provide", "--wait", "120", "first")
    assert (
        json.loads(client("node", "show", "-f", "json", "first"))["provision_state"] == "available"
    )
