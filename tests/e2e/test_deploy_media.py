"""A node boots its deploy ramdisk from its BMC's virtual drive, and is deployed to the login."""

import json

import pytest

from bakery.conductor.lab_site import journals_of
from bakery.lab import state
from bakery.netboot.wire_events import Dhcp, Http, TftpAsked
from tests.e2e.test_deploy import built, lab
from tests.watch import files_with, watching

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lab"), pytest.mark.timeout(2400)]


def test_from_a_medium_without_dhcp_or_tftp_to_the_login(bakery, sample, tmp_path):
    image = built(bakery, sample, tmp_path, "disk")
    with watching() as watch, lab(bakery, tmp_path / "lab") as there:
        done = there.deploy(image, "--boot", "media")
        assert done.returncode == 0, done.stderr + there.console()[-3000:]
        watch.stop()
        (outcome,) = json.loads(done.stdout)
        assert (outcome["state"], outcome["attempts"], outcome["sign"]) == ("running", 1, "login")
        events = [entry.event for entry in there.wire()]
        assert not [event for event in events if isinstance(event, Dhcp | TftpAsked)]
        read = [event for event in events if isinstance(event, Http) and "media" in event.path]
        assert {event.client for event in read} == {state.load(there.folder).nodes[0].bmc.address}
        assert {200, 206} >= {event.status for event in read if event.method == "GET"}
        nothing_tells_the_secrets(there, watch, done.stdout + done.stderr)


def nothing_tells_the_secrets(there, watch, said):
    """They are in the journal alone: not even the node's console has the key, as over PXE."""
    journals = journals_of(there.folder)
    (path,) = journals.glob("*.json")
    kept = json.loads(path.read_bytes())["deployment"]
    for secret in (kept["key"], kept["token"]):
        assert watch.showed(secret) == []
        assert secret not in said + there.console()
        assert files_with(secret, there.folder, journals) == {path}
