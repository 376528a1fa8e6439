"""Another user was here first: what he laid out in a place of bakery's leads nowhere.

Each place is tried as his folder, as his link, and as a link that came with a stranger's archive
and so is our own. Whatever bakery says to it, nothing outside is changed.
"""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest

from bakery.build.scrub.output import Draft
from bakery.conductor import journal as deploys
from bakery.conductor.checked import checked
from bakery.conductor.partition import Extras
from bakery.conductor.peer import Peer
from bakery.conductor.pulling import Pulling
from bakery.devstack import install
from bakery.devstack.journal import Journal
from bakery.devstack.run import Runner
from bakery.devstack.steps import Command
from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.workdir import WorkDir
from bakery.lab import state
from bakery.manifest.manifest import Build, load
from bakery.netboot.leases import Leases
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Trouble, WireLog
from bakery.node.agent.exchange import Exchange
from bakery.node.ramdisk.make import _prepare, _write
from bakery.openstack.glance import convert, download
from bakery.openstack.glance.sparse import SparseFile
from bakery.recovery import seal
from bakery.samples import cache
from bakery.vm.prove.prove import _open_log
from tests.conductor import builds, peers
from tests.neighbour import as_nobody, needs_neighbour

NODE = UUID(int=7)
PEER = Peer(lambda asked: asked == "192.0.2.9")


def build(folder: Path) -> None:
    work = WorkDir(folder / "out")
    with work.locked():
        work.prune(set())
        work.remove()


def made_result(folder: Path) -> None:
    work = WorkDir(folder / "out")
    with work.locked(), work.making("base", "0") as draft:
        (draft / "base").write_text("made")


def scrub(folder: Path) -> None:
    with Draft(folder / "out.img").locked():
        pass


def upload(folder: Path) -> None:
    (folder / "base").write_bytes(bytes(4096))
    with convert.as_qcow2(folder / "base", compress=False, progress=lambda *_: None):
        pass


def pull(folder: Path) -> None:
    work = WorkDir(folder / "out")
    with work.locked():
        folders.make(work.path / download.DOWNLOADS, mode=0o700)
        (work.path / download.DOWNLOADS / "part").write_bytes(b"made")


def fetched(folder: Path) -> None:
    with SparseFile(folder / "part") as file:
        file.write(b"made")


def ramdisk(folder: Path) -> None:
    _prepare(folder / "ramdisk")
    _write(folder / "ramdisk", {"kernel": b"made"})


def lab(folder: Path) -> None:
    held = state.hold(folder / "lab")
    assert held is not None
    os.close(held)
    state.remove(folder / "lab")


def console(folder: Path) -> None:
    with _open_log(folder / "console.log") as file:
        file.write(b"made")


def journal(folder: Path) -> None:
    with Journal(folder / "journal").held():
        install.put(folder / "journal", "made", replace=True)


def sample_cache(folder: Path) -> None:
    cache.make_directory(folder / "cache")
    with cache.locked(folder / "cache/lock"), cache.scratch_in(folder / "cache"):
        pass


def archive(folder: Path) -> None:
    with seal._draft(folder / "recovery") as descriptor:
        os.write(descriptor, b"made")


def deploy(folder: Path) -> None:
    node = deploys.Journal(folder / "state", NODE)
    with node.held():
        node.read()
        node.write(peers.record(deploys.Deployment.fresh()))


def addresses(folder: Path) -> None:
    folders.make(folder / "state", mode=0o700)
    first, last = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.20")
    with contextlib.closing(Leases(folder / "state/leases", first, last)) as leases:
        leases.bind("52:54:00:4c:00:01", first)


def wire_log(folder: Path) -> None:
    folders.make(folder / "state", mode=0o700)
    with contextlib.closing(WireLog(folder / "state/wire.jsonl", limit=1)) as log:
        log(Trouble("DHCP", "none"))


def devstack_log(folder: Path) -> None:
    command = Command(("true",))
    runner = Runner(Journal(folder / "steps"), folder / "stack.log", print)
    runner._act([command])


def write_list(folder: Path) -> None:
    folders.make(folder / "state", mode=0o700)
    build, words = _packed_build(), (Extras(swap_mib=8), Tree(), "http://192.0.2.1")
    pulling = Pulling(build, *words, NODE, PEER, folder / "state/pieces/node")
    pulling.write_list(deploys.Deployment.fresh(), 64 << 20, Exchange().public)


@functools.cache
def _packed_build() -> Build:
    return builds.with_packed_base(builds.build(Path(tempfile.mkdtemp()) / "build"))


PLACES: list[tuple[str, Callable[[Path], None]]] = [
    ("out", build),
    ("out/.bakery", build),
    ("out/.bakery/tmp", build),
    ("out/.bakery/lock", build),
    ("out/.bakery/base-0", build),
    ("out/.bakery/base-0", made_result),
    (".out.img.bakery-scrub", scrub),
    (".bakery", upload),
    ("out/.bakery/download", pull),
    ("part", fetched),
    ("ramdisk", ramdisk),
    ("ramdisk/kernel", ramdisk),
    ("ramdisk/.kernel.draft", ramdisk),
    ("lab", lab),
    ("lab/lab.lock", lab),
    ("lab/node-1", lab),
    ("console.log", console),
    ("journal", journal),
    ("journal.lock", journal),
    ("cache", sample_cache),
    ("cache/work", sample_cache),
    ("cache/lock", sample_cache),
    ("recovery", archive),
    ("state", deploy),
    (f"state/{NODE}.json", deploy),
    ("state/draft", deploy),
    (f"state/draft/{NODE}", deploy),
    (f"state/draft/{NODE}/lock", deploy),
    ("state", addresses),
    ("state/leases", addresses),
    ("state/leases.lock", addresses),
    ("state/leases.new", addresses),
    ("state", wire_log),
    ("state/wire.jsonl", wire_log),
    ("state/wire.jsonl.1", wire_log),
    ("state", write_list),
    ("state/pieces", write_list),
    ("state/pieces/node", write_list),
    ("state/pieces/node/table", write_list),
    ("state/pieces/node/frames-0", write_list),
    ("stack.log", devstack_log),
]


@pytest.fixture
def victim(shared: Path) -> Path:
    """What the links lead to: somebody's documents, under the names that bakery uses."""
    folder = shared / "victim"
    for name in ("Documents", "tmp", "node-1", "work", "base-0"):
        (folder / name).mkdir(parents=True)
        (folder / name / "result.json").write_text("{}")
    for name in ("thesis", "lock", "lab.lock", "lab.json", "image", "kernel", "journal"):
        (folder / name).write_text("mine")
    return folder


def told(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is in a folder: modes, sizes and contents, by path."""
    paths = [folder, *folder.rglob("*")]
    return {str(path): (path.stat().st_mode, path.stat().st_ino, _content(path)) for path in paths}


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize(("place", "use"), PLACES)
@pytest.mark.parametrize("target", ["", "thesis", "nothing"])
def test_a_link_of_a_strangers_archive_leads_nowhere(shared, victim, place, use, target):
    folder = shared / "download"
    (folder / place).parent.mkdir(parents=True)
    (folder / place).symlink_to(victim / target)
    before = told(victim)
    with contextlib.suppress(BakeryError, OSError):
        use(folder)
    assert told(victim) == before


@needs_neighbour
@pytest.mark.parametrize(("place", "use"), [(p, u) for p, u in PLACES if "/" not in p])
@pytest.mark.parametrize("how", ["mkdir -m 777", "ln -s $PWD/victim", "ln -s $PWD/none", "touch"])
def test_what_a_neighbour_laid_out_is_not_worked_in(shared, victim, place, use, how):
    assert as_nobody(shared, f"{how} {place}").returncode == 0
    outside, laid = told(victim), (shared / place).lstat()
    with contextlib.suppress(BakeryError, OSError):
        use(shared)
    assert told(victim) == outside
    assert not (shared / "none").exists()
    left = shared / place
    if not left.is_symlink() and left.exists() and left.lstat().st_ino == laid.st_ino:
        assert list(told(left)) == [str(left)]
        assert _content(left) == b""


@needs_neighbour
@pytest.mark.parametrize("use", [console, fetched, archive, ramdisk, devstack_log])
def test_a_file_that_a_neighbour_holds_open_gets_nothing(shared, use):
    names = {console: "console.log", fetched: "part", archive: "recovery", ramdisk: "ramdisk"}
    names |= {devstack_log: "stack.log"}
    as_nobody(shared, f"touch {names[use]}; chmod 666 {names[use]}")
    with (shared / names[use]).open("rb") as held:
        with contextlib.suppress(BakeryError, OSError):
            use(shared)
        assert held.read() == b""


@pytest.mark.parametrize(
    ("name", "use", "content"),
    [
        (f"state/{NODE}.json", deploy, lambda: _written(deploy) / f"state/{NODE}.json"),
        ("state/leases", addresses, lambda: _written(addresses) / "state/leases"),
    ],
)
def test_what_a_link_leads_to_is_not_taken_for_our_own(shared, name, use, content):
    (shared / "state").mkdir(mode=0o700)
    (shared / name).symlink_to(content())
    with pytest.raises(BakeryError, match="is a link"):
        use(shared)


def _written(use: Callable[[Path], None]) -> Path:
    """A folder in which it was done, and nobody was before."""
    folder = Path(tempfile.mkdtemp())
    use(folder)
    return folder


@needs_neighbour
@pytest.mark.parametrize("how", ["exchange", "link", "write"])
@pytest.mark.parametrize("name", ["sample-kernel", "sample-base"])
def test_what_a_neighbour_changes_in_his_build_after_the_check_is_not_served(
    shared, victim, name, how
):
    build = builds.build(shared / "build")
    assert as_nobody(shared, "cp -r build his").returncode == 0
    his = load(shared / "his")
    seal = checked(his, direct=False)(his.directory / name)
    seal.open().close()
    script = {
        "exchange": f"cp his/{name} new; mv -f new his/{name}",
        "link": f"ln -sf $PWD/victim/thesis his/{name}",
        "write": f"printf X | dd of=his/{name} conv=notrunc status=none",
    }
    assert as_nobody(shared, script[how]).returncode == 0
    with pytest.raises(BakeryError):
        seal.open()
    assert build.directory != his.directory
