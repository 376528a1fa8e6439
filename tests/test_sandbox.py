"""The cage, seen from inside: what a confined program can and cannot do."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bakery import sandbox
from bakery.all_users import identity
from bakery.run import CommandFailed, Limits
from bakery.sandbox import Cage, Mount
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
        "import sys; from pathlib import Path; from bakery.sandbox import Cage, run_confined\n"
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
