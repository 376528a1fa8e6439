"""A deploy while a third host, which knows every name and secret, tries all it can."""

import contextlib
import http.client
import json

import pytest

from bakery.netboot.wire_events import Http, TftpRefused, TftpSent
from tests.conductor.asking import post
from tests.conductor.ramdisk import fetch
from tests.conductor.targets import IQN
from tests.conductor.test_handshake import NODE, Bench

pytestmark = pytest.mark.slow
STRANGER = "127.0.0.9"
STRANGE = "this is another node's"
CALLS: dict[str, list[dict[str, str]]] = {
    "pass_deploy_info": [{"iqn": IQN}, {"iqn": IQN, "error": "disk on fire"}],
    "pass_bootloader_install_info": [{"status": "SUCCEEDED"}, {"status": "FAILED"}],
    "pass_deploy_progress": [{"part": "writing", "done": "1", "total": "1"}],
    "pass_deploy_done": [{}],
    "get_deploy_plan": [{"disk_bytes": "10737418240", "public_key": "ab" * 32}],
}


class Stranger:
    """At an address of its own; what it got, and the statuses it met."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.got: list[str] = []
        self.statuses: set[int] = set()

    def attack(self) -> None:
        """Ask for all that is served, and call in the node's name."""
        bench, record = self._bench, self._bench.deploy.record
        key, token = record.deployment.key, record.deployment.token
        for name in bench.tree.names():
            with contextlib.suppress(FileNotFoundError):
                fetch(bench.tftp.port, name, STRANGER)
                self.got.append(name)
            if self._get(f"/{name}", token) != 403:
                self.got.append(name)
        for call, bodies in CALLS.items():
            for body in bodies:
                for address in (STRANGER, "127.0.0.1"):
                    told = json.dumps({"key": key, "address": address, **body}).encode()
                    path = f"/v1/nodes/{NODE}/vendor_passthru/{call}"
                    self.statuses.add(post(bench.http.port, path, told, token, STRANGER))

    def _get(self, path: str, token: str) -> int:
        place = (STRANGER, 0)
        link = http.client.HTTPConnection(
            "127.0.0.1", self._bench.http.port, timeout=30, source_address=place
        )
        with contextlib.closing(link):
            link.request("GET", path, headers={"X-Auth-Token": token})
            return link.getresponse().status


def test_a_stranger_gets_nothing_and_changes_nothing_at_any_moment_of_a_deploy(tmp_path):
    with contextlib.ExitStack() as stack:
        bench = Bench(tmp_path, stack)
        stranger = Stranger(bench)
        up, power_on = bench.up, bench.node.power_on

        def seen(*words):
            stranger.attack()
            return up(*words)

        def started():
            stranger.attack()
            power_on()

        bench.on_write = bench.before_verifying = stranger.attack
        bench.up, bench.node.power_on = seen, started  # type: ignore[method-assign]
        record = bench.run()
    assert (record.state, record.attempt, record.reason) == ("running", 1, "")
    assert stranger.got == []
    assert stranger.statuses == {403}
    told = [event for event in bench.events if getattr(event, "client", "") == STRANGER]
    reasons = {(type(event), getattr(event, "reason", "")) for event in told}
    assert reasons == {(Http, STRANGE), (TftpRefused, STRANGE)}
    sent = [event.path for event in bench.events if isinstance(event, TftpSent)]
    assert sent.count(f"token-{NODE}") == 1
