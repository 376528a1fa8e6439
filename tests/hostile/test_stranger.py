"""Two nodes are deployed, by each method, while a third host on their network tries all it can.

It has an address and a card of its own, knows every name, and the secrets of each try as they are
made. Both ends are asked: what it received, and what the conductor and the nodes made of it.
"""

import collections
import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bakery.netboot.wire_events import Http, TftpAsked
from tests.conftest import REPOSITORY
from tests.e2e.test_deploy import Lab, assert_heard, built, lab
from tests.hostile import heard
from tests.hostile.stranger.attacks import KINDS, PUBLIC
from tests.hostile.stranger.known import ADDRESS, INTERFACE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("lab"),
    pytest.mark.timeout(3000),
    pytest.mark.skipif(os.geteuid() != 0, reason="a host on the lab's bridge is made by root"),
]
MIB = 1 << 20
TAP = "stranger"
MULTICAST_LOOKED_AT = 2000
REFUSED = {
    "400",
    "401",
    "403",
    "404",
    "405",
    "408",
    "409",
    "411",
    "413",
    "414",
    "429",
    "431",
    "501",
}
FAILURES = ("FAULT", "LOGGED IN", "LISTED")
Answers = dict[str, collections.Counter[str]]


class Stranger(NamedTuple):
    """What it heard, and after the block what it did and met."""

    record: Path
    answers: Answers


@contextlib.contextmanager
def stranger(there: Lab, record: Path) -> Iterator[Stranger]:
    """The third host, at work for the length of the block."""
    nodes = [(node["uuid"], node["mac"]) for node in there.nodes]
    known = {"nodes": nodes, "journals": str(journals(there))}
    words = ["unshare", "--net", "--", sys.executable, "-m", "tests.hostile.stranger", str(record)]
    met: Answers = {}
    with subprocess.Popen(
        there.inside(words),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        try:
            assert process.stdout.readline() == "there\n"
            cable = ["link", "add", TAP, "type", "veth", "peer", "name", INTERFACE]
            for order in ([*cable, "netns", str(process.pid)], [*f"link set {TAP} up".split()]):
                subprocess.run(there.inside(["ip", *order]), check=True)
            subprocess.run(there.inside(["ip", *f"link set {TAP} master lab".split()]), check=True)
            print(json.dumps(known), file=process.stdin, flush=True)
            assert process.stdout.readline() == "at work\n"
            yield Stranger(record, met)
            print("end", file=process.stdin, flush=True)
            told = json.loads(process.stdout.readline())
            met |= {name: collections.Counter(answers) for name, answers in told.items()}
        finally:
            process.kill()


def journals(there: Lab) -> Path:
    return there.folder.with_name(f"{there.folder.name}-deploys")


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A config drive that is like nothing else."""
    path = tmp_path / "drive"
    path.write_bytes(random.Random(11).randbytes(MIB))
    return path


def files_of(build: Path) -> list[Path]:
    """What of a build goes to a node, or is its base: its manifest is no secret."""
    return [path for path in build.iterdir() if path.is_file() and path.suffix != ".json"]


def contents(folder: Path) -> dict[str, bytes]:
    """All files below, whole, where they are small; by size, inode and time where not."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            mark = repr((status.st_size, status.st_ino, status.st_mtime_ns)).encode()
            found[str(path)] = path.read_bytes() if status.st_size < MIB else mark
    return found


def deployed(
    there: Lab, tmp_path: Path, image: Path, drive: Path, *words: str
) -> tuple[Stranger, list[dict[str, Any]]]:
    """Deploy both nodes with the stranger at work; nothing of the conductor's is changed by it."""
    before = contents(image), drive.read_bytes()
    with stranger(there, tmp_path / "heard") as one:
        done = there.deploy(image, "--config-drive", str(drive), *words)
    print(*(f"{name}: {dict(met)}" for name, met in one.answers.items()), sep="\n")
    assert done.returncode == 0, done.stderr[-3000:] + there.console()[-2000:]
    outcomes = json.loads(done.stdout)
    assert [(o["state"], o["attempts"]) for o in outcomes] == [("running", 1)] * 2, done.stderr
    assert all("login:" in there.console(number) for number in range(2))
    assert (contents(image), drive.read_bytes()) == before
    nodes = {node["uuid"] for node in there.nodes}
    kept = {path.name for path in journals(there).iterdir() if path.is_file()}
    assert kept - {"wire.jsonl", "wire.jsonl.1"} == {
        *(f"{node}.json" for node in nodes),
        *(name for name in kept if name.startswith("leases-")),
    }
    assert not list((journals(there) / "pieces").rglob("frames-*"))
    return one, outcomes


def assert_it_met_refusals_alone(there: Lab, one: Stranger) -> None:
    """Each kind was tried; as it saw it, and as the conductor's log has it."""
    assert set(one.answers) == set(KINDS) and len(KINDS) >= 25
    every = [(name, answer) for name, answers in one.answers.items() for answer in answers]
    assert not [met for met in every if met[1].startswith(FAILURES)]
    for name, answer in every:
        if name.startswith(("call", "http_of")) and not answer.startswith("no answer"):
            assert set(answer.split()) <= REFUSED, (name, answer)
        if name in ("tftp_of_a_nodes_files", "tftp_of_files_outside"):
            assert not {"DATA", "OACK"} & set(answer.split()), (name, answer)
    for entry in there.wire():
        event = entry.event
        if isinstance(event, Http) and event.client == ADDRESS:
            assert event.status >= 400, event
        if isinstance(event, TftpAsked) and event.client == ADDRESS:
            assert event.path == PUBLIC, event
    for node in there.nodes:
        kept = json.loads((journals(there) / f"{node['uuid']}.json").read_text())
        assert kept["agent"]["address"] != ADDRESS


def assert_it_heard_nothing(there: Lab, one: Stranger, files: list[Path]) -> int:
    """No secret, and no piece of a file; how many frames came by multicast."""
    secrets = set()
    for node in there.nodes:
        kept = json.loads((journals(there) / f"{node['uuid']}.json").read_text())["deployment"]
        secrets |= {kept[name].encode() for name in ("key", "token", "signing_key")}
    known, cast, looked = heard.of(files), 0, 0
    for frame in heard.frames(one.record):
        assert not any(secret in frame for secret in secrets)
        cast += heard.is_multicast(frame)
        if not heard.is_multicast(frame) or cast % 50 == 0:
            looked += 1
            assert not heard.holds(frame, known), frame[:200]
    assert looked > 100
    return cast


def assert_its_drive_is_there(there: Lab, drive: Path) -> None:
    """Each node has its config drive, where the table of its disk says."""
    for node in there.nodes:
        with Path(node["disk"]).open("rb") as disk:
            table = disk.read(512)
            starts = [int.from_bytes(table[446 + 16 * n + 8 :][:4], "little") for n in range(4)]
            assert any(
                disk.seek(start * 512) and disk.read(MIB) == drive.read_bytes() for start in starts
            )


def test_over_iscsi_two_nodes_reach_the_login_and_a_stranger_nothing(
    bakery, sample, tmp_path, drive
):
    """By iPXE, from another card, with a swap area: what no other deploy of the default run has."""
    image = built(bakery, sample, tmp_path, "lv")
    with lab(bakery, tmp_path / "lab", "--nic", "e1000", "--nodes", "2") as there:
        one, _ = deployed(there, tmp_path, image, drive, "--bios", "ipxe", "--swap", "64")
        assert_it_met_refusals_alone(there, one)
        files = [*files_of(image), drive]
        assert_it_heard_nothing(there, one, files)
        assert_its_drive_is_there(there, drive)
        # It was there while the disks were open, and while the nodes waited for the word.
        turned_away = one.answers["iscsi_login_with_the_secrets"]
        assert turned_away["refused"] + turned_away["left"]
        assert one.answers["notice_with_the_word"]["said"]


def test_two_nodes_that_pull_hear_one_image_that_a_stranger_cannot_read_and_reach_the_login(
    bakery, sample, tmp_path, drive
):
    image = built(bakery, sample, tmp_path, "pv", "--compress", "zstd")
    with lab(bakery, tmp_path / "lab", "--firmware", "uefi", "--nodes", "2") as there:
        one, outcomes = deployed(there, tmp_path, image, drive, "--method", "direct")
        for outcome in outcomes:
            states = [visit["state"] for visit in outcome["visits"]]
            assert states.index("writing") < states.index("verifying") < states.index("switched")
        assert "is written; waiting on port 10000" in there.console()
        assert_heard(there, image)
        assert_it_met_refusals_alone(there, one)
        files = [*files_of(image), drive]
        assert assert_it_heard_nothing(there, one, files) > MULTICAST_LOOKED_AT
        assert_its_drive_is_there(there, drive)
        assert one.answers["notice_with_the_word"]["said"]
