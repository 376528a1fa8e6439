"""qemu-nbd as it is started: where it is, as whom, and what it sees."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from bakery.conductor import qemu_nbd
from bakery.conductor.iscsi import Target, attached
from bakery.host import sandbox
from bakery.host.run import run
from bakery.host.sandbox import NoCage
from tests.conductor.targets import IQN, blank, exported

MIB = 1 << 20
caged = pytest.mark.skipif(not sandbox.available(), reason="bubblewrap does not work here")
LOOK = """
import json, os, socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30)
print(json.dumps({
    "user": os.getuid(),
    "secret": open(sys.argv[2]).read(),
    "there": [path for path in sys.argv[3:] if os.path.exists(path)],
}))
"""


def test_the_secret_is_in_a_file_of_its_own_and_in_no_word_of_the_command():
    with qemu_nbd.place("0123456789abcdef") as place:
        assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(place.secret_file.stat().st_mode) == 0o600
        assert place.secret_file.read_text() == "0123456789abcdef"
        words = qemu_nbd.command(place, {"driver": "null-co"})
        assert "0123456789abcdef" not in " ".join(map(str, words))
        assert str(place.secret_file) in " ".join(map(str, words))
    assert not place.folder.exists()


def test_without_a_secret_there_is_none():
    with qemu_nbd.place("") as place:
        assert list(place.folder.iterdir()) == []
        assert "--object" not in qemu_nbd.command(place, {"driver": "null-co"})


@caged
def test_what_runs_there_has_the_network_its_folder_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("somebody's")
    with qemu_nbd.place("secret") as place, socket.create_server(("127.0.0.1", 0)) as server:
        others = [tmp_path / "file", Path(__file__), "/root", "/home", "/var", "/proc/self"]
        program = ["/usr/bin/python3", "-I", "-S", "-c", LOOK, str(server.getsockname()[1])]
        words = qemu_nbd.command(place, {"driver": "null-co"})
        words = [*words[: words.index("qemu-nbd")], *program, place.secret_file, *others]
        told = json.loads(run(words).text)
        assert told == {"user": place.user or os.getuid(), "secret": "secret", "there": []}


@caged
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
def test_root_runs_it_as_a_user_whom_no_file_belongs_to():
    with qemu_nbd.place("secret") as one, qemu_nbd.place("secret") as other:
        if one.user is None:
            pytest.skip("no other user can enter a cage here")
        assert {one.user, other.user} <= set(sandbox.NOBODYS)
        assert one.folder.stat().st_uid == one.secret_file.stat().st_uid == one.user


@caged
def test_where_another_user_could_not_get_to_the_folder_the_caller_runs_it(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "closed"))
    with qemu_nbd.place("secret") as place:
        assert place.user is None
        words = qemu_nbd.command(place, {"driver": "null-co"})
        run([*words[: words.index("qemu-nbd")], "cat", place.secret_file])


def test_without_a_cage_it_is_not_started(monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: False)
    monkeypatch.setattr(sandbox._Decision, "unconfined", False)
    with qemu_nbd.place("") as place, pytest.raises(NoCage, match="could not be confined"):
        qemu_nbd.command(place, {"driver": "null-co"})


@caged
@pytest.mark.slow
def test_the_program_that_speaks_with_a_node_is_in_the_cage(tmp_path):
    disk = blank(tmp_path / "disk", 8 * MIB)
    with exported(disk) as tgtd, attached(Target("127.0.0.1", IQN, tgtd.port)):
        (found,) = [pid for pid in _processes("qemu-nbd") if _listens_for(pid, tgtd.port)]
        for kind in ("mnt", "pid", "ipc", "uts", "user"):
            assert _namespace(found, kind) != _namespace("self", kind), kind
        assert _namespace(found, "net") == _namespace("self", "net")
        if sandbox.nobody() is not None:
            assert Path(f"/proc/{found}").stat().st_uid in sandbox.NOBODYS


def _processes(name: str) -> list[str]:
    told = subprocess.run(["pgrep", "-x", name], capture_output=True, text=True, check=False)
    return told.stdout.split()


def _listens_for(pid: str, port: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # another test's, which has ended
        return False
    return f"127.0.0.1:{port}".encode() in words and words.startswith(b"qemu-nbd")


def _namespace(pid: str, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
