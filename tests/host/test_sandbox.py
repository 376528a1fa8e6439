"""The cage, seen from inside: what a confined program can and cannot do."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.host import sandbox, tools
from bakery.host.all_users import identity
from bakery.host.run import CommandFailed, Limits, run
from bakery.host.sandbox import Cage, Mount, NoCage
from tests import processes

pytestmark = pytest.mark.skipif(not sandbox.available(), reason="bubblewrap does not work here")

NOBODY = 65534
NOTHING = Cage()


def python(code: str, cage: Cage = NOTHING, *args: str | Path) -> str:
    """What a Python program prints inside a cage."""
    argv = ["/usr/bin/python3", "-I", "-S", "-c", code, *args]
    return sandbox.run_confined(argv, cage).text.strip()


def capabilities(cage: Cage) -> int:
    """The capabilities a program in the cage could use (capget(2), version 3, effective)."""
    code = (
        "import ctypes; head = (ctypes.c_uint32 * 2)(0x20080522, 0); data = (ctypes.c_uint32 * 6)()"
        "; assert ctypes.CDLL(None).capget(head, data) == 0; print(data[0] | data[3] << 32)"
    )
    return int(python(code, cage))


def test_a_file_that_was_not_named_is_not_there(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    assert python("import os,sys; print(os.path.exists(sys.argv[1]))", Cage(), secret) == "False"
    assert python("import os; print(os.path.exists('/etc/passwd'), os.listdir('/tmp'))") == (
        "False []"
    )


@pytest.mark.parametrize("folder", ["/opt", "/nix", "/root", "/home", "/etc/ssl", "/var", "/srv"])
def test_what_is_no_parsers_business_is_not_there(folder):
    assert python("import os,sys; print(os.path.exists(sys.argv[1]))", Cage(), folder) == "False"


def test_where_there_is_no_cage_nothing_runs_unless_that_was_permitted(monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: False)
    monkeypatch.setattr(sandbox._Decision, "unconfined", False)
    with pytest.raises(NoCage, match="could not be confined") as refused:
        sandbox.run_confined(["true"], Cage())
    assert "--unconfined" in refused.value.hint
    sandbox.permit_unconfined()
    assert sandbox.run_confined(["echo", "bare"], Cage()).text == "bare\n"


def test_what_may_be_read_cannot_be_written(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("kept")
    code = "import sys; print(open(sys.argv[1]).read()); open(sys.argv[1], 'w')"
    with pytest.raises(CommandFailed, match="Read-only file system"):
        python(code, Cage(read=(file,)), file)
    assert file.read_text() == "kept"


def test_a_file_is_shown_under_the_name_asked_for(tmp_path: Path):
    odd = tmp_path / os.fsdecode(b"a \xff,b:c")
    odd.write_text("found")
    cage = Cage(mounts=(Mount(odd, Path("/image")),))
    assert python("print(open('/image').read())", cage) == "found"


def test_a_writable_mount_reaches_the_folder_outside(tmp_path: Path):
    cage = Cage(mounts=(Mount(tmp_path, Path("/session"), writable=True),))
    python("open('/session/made', 'w').write('inside')", cage)
    assert (tmp_path / "made").read_text() == "inside"


def test_there_is_no_network_and_no_other_process():
    code = "import socket,sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        subprocess.run([sys.executable, "-c", code, port], check=True)
        with pytest.raises(CommandFailed, match=r"refused|unreachable"):
            python(code, Cage(), port)
    assert python("import os; print(os.getpid() < 5, os.path.exists('/proc'))") == "True False"
    with pytest.raises(CommandFailed, match="No such process"):
        python(f"import os; os.kill({os.getpid()}, 0)")


def test_a_program_has_no_capabilities_and_with_fuse_one():
    sys_admin = 1 << 21  # capabilities(7)
    assert capabilities(Cage()) == 0
    assert capabilities(Cage(fuse=True)) == sys_admin


def test_limits_hold_inside():
    small = Cage(limits=Limits(memory_bytes=256 << 20, cpu_seconds=1, file_bytes=4096))
    assert python("print('fits')", small) == "fits"
    with pytest.raises(CommandFailed, match="MemoryError"):
        python("bytearray(512 << 20)", small)
    with pytest.raises(CommandFailed):
        python("while True: pass", small)
    with pytest.raises(CommandFailed):
        python(
            "open('/tmp/x', 'wb', 0).write(bytes(8192)); open('/tmp/x', 'ab', 0).write(b'x')", small
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets the files of others")
@pytest.mark.parametrize("fuse", [False, True])
def test_root_can_have_the_private_image_of_a_user_read(fuse, tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    image = home / "image"
    image.write_text("theirs")
    for path, mode in ((image, 0o600), (home, 0o700)):
        path.chmod(mode)
        os.chown(path, NOBODY, NOBODY)
    cage = Cage(read=(image,), write=(home,), fuse=fuse)
    code = "import sys; print(open(sys.argv[1]).read()); open(sys.argv[1] + '.new', 'w')"
    assert python(code, cage, image) == "theirs"
    assert (home / "image.new").exists()
    with pytest.raises(CommandFailed, match="Read-only file system"):
        python("open('/usr/bin/true', 'w')", cage)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets the files of others")
def test_the_exit_code_comes_out_of_a_cage_that_knows_every_user(tmp_path: Path):
    os.chown(tmp_path, NOBODY, NOBODY)
    tmp_path.chmod(0o700)
    with pytest.raises(CommandFailed) as caught:
        python("import sys; sys.exit(7)", Cage(read=(tmp_path,)))
    assert caught.value.returncode == 7


def test_an_identity_map_keeps_every_range_of_users():
    assert identity("0 100000 65536\n70000 7 1\n") == "0 0 65536\n70000 70000 1\n"


def test_the_cage_ends_with_the_process_that_opened_it(tmp_path: Path):
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    code = (
        "import sys; from pathlib import Path; from bakery.host.sandbox import Cage, run_confined\n"
        "folder = Path(sys.argv[1])\n"
        "words = ['sh', '-c', 'echo up > $0; exec tail -f $0', folder / 'ready']\n"
        "run_confined(words, Cage(write=(folder,)))"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path]) as parent:
        assert ready.read_text() == "up\n"
        inside = [pid for pid in processes.started_with(str(ready)) if pid != parent.pid]
        parent.kill()
    assert inside
    assert all(processes.has_ended(pid) for pid in inside)


@pytest.mark.parametrize("there", ["nothing", "one that fails", "the real one"])
def test_a_cage_is_there_where_bubblewrap_was_seen_to_work(monkeypatch, there):
    real = run
    monkeypatch.setattr(tools, "find", lambda _: None if there == "nothing" else "bwrap")
    if there == "one that fails":
        monkeypatch.setattr(sandbox, "run", lambda _words, **more: real(["false"], **more))
    sandbox.available.cache_clear()
    try:
        assert sandbox.available() == (there == "the real one")
    finally:
        sandbox.available.cache_clear()


@pytest.fixture
def owned(tmp_path):
    """A file or folder with an owner and a mode, in folders that everybody may enter."""

    def make(name, mode, uid=0, gid=0, folder=False):
        path = tmp_path / name
        path.mkdir() if folder else path.touch()
        os.chown(path, uid, gid)
        path.chmod(mode)
        for parent in path.parents:
            if parent.stat().st_mode & 0o111 != 0o111:
                parent.chmod(parent.stat().st_mode | 0o111)
        return path

    return make


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("owner", "mode", "reads", "writes"),
    [
        ((0, 0), 0o600, True, True),
        ((0, 0), 0o400, True, False),
        ((0, 0), 0o077, False, False),  # an owner has the owner's rights alone
        ((NOBODY, 0), 0o060, True, True),
        ((NOBODY, 0), 0o606, False, False),
        ((NOBODY, NOBODY), 0o660, False, False),
        ((NOBODY, NOBODY), 0o604, True, False),
        ((NOBODY, NOBODY), 0o606, True, True),
    ],
)
def test_root_may_what_a_files_mode_grants_it(owned, owner, mode, reads, writes):
    path = owned("file", mode, *owner)
    assert sandbox._root_may(Mount(path, path)) == reads
    assert sandbox._root_may(Mount(path, path, writable=True)) == writes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("mode", "reads", "writes"),
    [(0o705, True, False), (0o704, False, False), (0o701, False, False), (0o707, True, True)],
)
def test_a_folder_has_to_be_listed_and_entered(owned, mode, reads, writes):
    path = owned("folder", mode, NOBODY, NOBODY, folder=True)
    assert sandbox._root_may(Mount(path, path)) == reads
    assert sandbox._root_may(Mount(path, path, writable=True)) == writes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("mode", "may"), [(0o711, True), (0o710, False), (0o706, False)])
def test_every_folder_on_the_way_has_to_be_entered(owned, tmp_path, mode, may):
    owned("home", mode, NOBODY, NOBODY, folder=True)
    inner = tmp_path / "home" / "file"
    inner.touch()
    (tmp_path / "home").chmod(mode)
    assert sandbox._root_may(Mount(inner, inner)) == may


def test_a_file_that_is_not_there_is_left_to_bubblewrap(tmp_path):
    none = tmp_path / "none"
    assert sandbox._root_may(Mount(none, none)) is True


@pytest.mark.parametrize(
    ("euid", "may", "all_users"),
    [(0, True, False), (0, False, True), (1000, False, False), (1000, True, False)],
)
def test_only_a_root_that_may_not_has_a_namespace_made_beforehand(
    monkeypatch, tmp_path, euid, may, all_users
):
    monkeypatch.setattr("bakery.host.sandbox.os.geteuid", lambda: euid)
    monkeypatch.setattr(sandbox, "_root_may", lambda _mount: may)
    words = [str(word) for word in sandbox.entrance([Mount(tmp_path, tmp_path)])]
    assert ("--unshare-user" in words) != all_users
    assert (str(sandbox.ALL_USERS) in words) == all_users
    assert (words[-2:] == ["--cap-add", "CAP_DAC_OVERRIDE"]) == all_users
    for word in ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent"):
        assert word in words
    assert words[words.index("--cap-drop") + 1] == "ALL"


def test_the_view_of_the_system_is_of_what_is_there(monkeypatch, tmp_path):
    words = [str(word) for word in sandbox._system_view()]
    pairs = dict(zip(words[2::3], words[0::3], strict=True))
    assert pairs["/usr/bin"] == "--ro-bind"
    assert "/usr" not in pairs
    for name in sandbox.USR_LINKS:
        path = Path("/") / name
        kind = "--symlink" if path.is_symlink() else "--ro-bind" if path.is_dir() else None
        assert pairs.get(str(path)) == kind
    monkeypatch.setattr(sandbox, "SYSTEM_FOLDERS", (str(tmp_path), str(tmp_path / "none")))
    monkeypatch.setattr(sandbox, "USR_LINKS", ())
    assert sandbox._system_view() == ["--ro-bind", str(tmp_path), str(tmp_path)]


@pytest.mark.parametrize("fuse", [True, False])
def test_with_fuse_the_program_is_the_first_process_and_root(fuse):
    words = [str(word) for word in Cage(fuse=fuse).entry()]
    assert words[-1] == "--"
    assert ("--as-pid-1" in words) == fuse
    assert ("/dev/fuse" in words) == fuse
    user = "--unshare-user" in words
    assert (words[words.index("--uid") + 1] == "0" if "--uid" in words else False) == (
        fuse and user
    )


def test_with_the_network_it_is_the_callers_and_nothing_else_is():
    words, usual = Cage(network=True).entry(), Cage().entry()
    assert [word for word in usual if word not in words] == ["--unshare-net"]
    assert [word for word in words if word not in usual] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another")
def test_root_can_have_a_program_run_as_a_user_whom_no_file_belongs_to():
    user = sandbox.nobody()
    if user is None:
        pytest.skip("no other user can enter a cage here")
    assert user in sandbox.NOBODYS
    code = "import os; print(os.getuid(), os.getgid(), *os.getgroups())"
    assert python(code, Cage(user=user)) == f"{user} {user}"
    assert capabilities(Cage(user=user)) == 0


def test_who_is_not_root_is_nobody_else(monkeypatch):
    sandbox._nobody_may.cache_clear()
    monkeypatch.setattr("bakery.host.sandbox.os.geteuid", lambda: 1000)
    assert sandbox.nobody() is None
    sandbox._nobody_may.cache_clear()


def test_mounts_are_shown_as_they_are_meant(tmp_path):
    mounts = (Mount(Path("/a"), Path("/b")), Mount(Path("/c"), Path("/d"), writable=True))
    words = [str(w) for w in Cage(read=(tmp_path,), write=(tmp_path,), mounts=mounts).entry()]
    end = [
        *("--ro-bind", str(tmp_path), str(tmp_path), "--bind", str(tmp_path), str(tmp_path)),
        *("--ro-bind", "/a", "/b", "--bind", "/c", "/d", "--"),
    ]
    assert words[-len(end) :] == end


def test_without_a_cage_the_bounds_hold_all_the_same(monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: False)
    monkeypatch.setattr(sandbox._Decision, "unconfined", True)
    words = Cage(limits=Limits(cpu_seconds=3)).argv(["true"])
    assert words == ["prlimit", "--cpu=3", "--", "true"]


def test_a_confined_program_is_called_by_its_own_name():
    with pytest.raises(CommandFailed, match=r"^false failed with exit code 1"):
        sandbox.run_confined(["/usr/bin/false"], NOTHING)
    with pytest.raises(CommandFailed, match=r"^the reader failed"):
        sandbox.run_confined(["false"], NOTHING, name="the reader")


@pytest.mark.parametrize(("base", "seen"), [("/usr", ()), ("/opt/python", ("/opt/python",))])
def test_a_python_of_its_own_is_shown_in_the_cage(monkeypatch, base, seen):
    monkeypatch.setattr("bakery.host.sandbox.sys.base_prefix", base)
    words, mounts = sandbox.interpreter()
    assert words[1:] == ["-I", "-S"] and Path(words[0]).is_absolute()
    assert mounts == tuple(Mount(Path(path), Path(path)) for path in seen)
