"""A node boots its deploy ramdisk from its BMC's virtual drive, and is deployed to the login."""

import json
import subprocess
from pathlib import Path

import pytest

from bakery.conductor.lab_site import journals_of
from bakery.lab import state
from bakery.netboot.wire_events import Dhcp, Http, TftpAsked
from tests.e2e.test_deploy import built, lab
from tests.watch import files_with, watching

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lab"), pytest.mark.timeout(2400)]


ADDRESS = "192.168.77.1"


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for the lab's address, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bakery"]
    words += ["-addext", f"subjectAltName=IP:{ADDRESS}", "-keyout", str(key)]
    subprocess.run([*words, "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def test_from_a_medium_over_https_without_dhcp_or_tftp_to_the_login(bakery, sample, tmp_path):
    certificate, key = certified(tmp_path)
    private = key.read_text().splitlines()[-3]
    image = built(bakery, sample, tmp_path, "disk")
    with watching() as watch, lab(bakery, tmp_path / "lab") as there:
        words = ["--boot", "media", "--media-certificate", str(certificate)]
        done = there.deploy(image, *words, "--media-key", str(key))
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
        assert watch.showed(private) == []
        assert private not in done.stdout + done.stderr
        assert files_with(private, there.folder, journals_of(there.folder)) == set()


def nothing_tells_the_secrets(there, watch, said):
    """They are in the journal alone: not even the node's console has the key, as over PXE."""
    journals = journals_of(there.folder)
    (path,) = journals.glob("*.json")
    kept = json.loads(path.read_bytes())["deployment"]
    for secret in (kept["key"], kept["token"]):
        assert watch.showed(secret) == []
        assert secret not in said + there.console()
        assert files_with(secret, there.folder, journals) == {path}
