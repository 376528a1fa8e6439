"""Puts the deploy ramdisk together and writes it, with its kernel, into a folder."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.folders import write_whole
from bakery.host.report import Report
from bakery.host.run import Arg, run
from bakery.node.ramdisk import cpio, kernel, modules, programs
from bakery.node.ramdisk.system import OWN, System, system_in

KERNEL, RAMDISK = "deploy-kernel", "deploy-ramdisk"
PYTHON = Path("/usr/bin/python3")  # the distribution's own: the first on PATH may be another
HERE = Path(__file__).parent
WORKER = "python_worker.py"
PROGRAMS = ("tgtadm", "tgtd", "udp-receiver")
# What the agent loads by name: bakery/node/agent/zstd.py, bakery/node/agent/signature.py.
AGENT_LIBRARIES = ("libzstd.so.1", "libcrypto.so.3")
COMPRESS = ("zstd", "--quiet", "-12", "--single-thread", "--stdout")
COMPRESS_SECONDS = 600
ARCHIVE_LIMIT_BYTES = 1 << 30
FOLDERS = ("etc", "proc", "root", "run", "sys", "tmp")


class Made(msgspec.Struct, frozen=True):
    """What was written: the files, their bytes and digests, and what is inside.

    `firmware_lacking` are modules that ask for firmware of which the system has nothing.
    """

    kernel: Path
    ramdisk: Path
    kernel_version: str
    kernel_bytes: int
    ramdisk_bytes: int
    unpacked_bytes: int
    kernel_sha256: str
    ramdisk_sha256: str
    modules: int
    firmware_lacking: tuple[str, ...]


def make(folder: Path, report: Report, version: str = "", root: Path = OWN) -> Made:
    """Write `deploy-kernel` and `deploy-ramdisk` into `folder`.

    Everything comes from the system in `root`. `version` chooses among its installed kernels; the
    newest is the default. The same packages give the same bytes. Raises BakeryError (MissingTool)
    for what is not installed.
    """
    system = system_in(root)
    for program in (*PROGRAMS, "busybox"):
        system.need(program)
    System().need("zstd")
    chosen = kernel.find(version, system.root)
    _prepare(folder)
    with report.step("kernel") as step:
        drivers = modules.choose(chosen.modules)
        firmware, lacking = modules.firmware(drivers, system.root)
        step.summary(f"{chosen.version}, {len(drivers.files)} modules")
    with report.step("files") as step:
        tree = contents(system, chosen, drivers) | firmware
        archive = b"".join(cpio.pack(tree))
        step.summary(f"{len(tree)} files, {len(archive) / (1 << 20):.1f} MiB")
    with report.step("ramdisk") as step:
        packed = _compress(archive)
        step.summary(f"{len(packed) / (1 << 20):.1f} MiB")
    image = chosen.image.read_bytes()
    _write(folder, {KERNEL: image, RAMDISK: packed})
    return Made(
        folder / KERNEL,
        folder / RAMDISK,
        chosen.version,
        len(image),
        len(packed),
        len(archive),
        hashlib.sha256(image).hexdigest(),
        hashlib.sha256(packed).hexdigest(),
        len(drivers.files),
        lacking,
    )


def contents(
    system: System, chosen: kernel.Kernel, drivers: modules.Modules
) -> dict[str, cpio.Member]:
    """Every file of the ramdisk, by path."""
    place = f"usr/lib/modules/{chosen.version}"
    tree = programs.base_folders()
    tree |= {f"{place}/{path}": cpio.file(content) for path, content in drivers.files.items()}
    tree |= {f"{place}/{name}": cpio.file(text.encode()) for name, text in drivers.index.items()}
    tree |= _busybox(system)
    tree |= _python(system)
    tree |= programs.with_libraries(system, map(system.need, PROGRAMS))
    libraries = [programs.library(system, name) for name in AGENT_LIBRARIES]
    tree |= programs.with_libraries(system, libraries)
    tree |= {name: cpio.Member(cpio.FOLDER) for name in FOLDERS}
    tree["dev/console"] = cpio.character_device(5, 1)  # init's output, before devtmpfs is there
    tree["var/run"] = cpio.link("/run")
    tree["init"] = cpio.file((HERE / "init").read_bytes(), executable=True)
    tree["usr/lib/agent/lease"] = cpio.file((HERE / "lease").read_bytes(), executable=True)
    return tree


def _busybox(system: System) -> dict[str, cpio.Member]:
    """busybox, and a link to it for each program that it is."""
    busybox = system.need("busybox")
    names = system.run([busybox, "--list"]).text.split()
    tree = programs.with_libraries(system, [busybox])
    tree["usr/bin/busybox"] = tree.pop(programs.merged(busybox))
    return tree | {f"usr/bin/{name}": cpio.link("busybox") for name in names if name != "busybox"}


def _python(system: System) -> dict[str, cpio.Member]:
    """The interpreter, the agent, and the modules that the agent imports; compiled."""
    if not system.place(PYTHON).exists():
        raise BakeryError(f"there is no {PYTHON} in {system.root}", "sudo apt-get install python3")
    with tempfile.TemporaryDirectory(prefix="bakery-ramdisk-", dir=system.scratch) as scratch:
        # Where that Python can see them.
        folder, out = Path(scratch), Path(scratch) / "compiled"
        shutil.copy(HERE / WORKER, folder)
        shutil.copytree(HERE.parent / "agent", folder / "agent")
        seen = system.inside(folder.resolve())
        # Hash order decides how a set of constants is written, so it is fixed.
        words: list[Arg] = [PYTHON, "-sSP", seen / WORKER, seen, seen / out.name]
        printed = system.run(words, env={"PYTHONHASHSEED": "0"}).stdout
        answer = msgspec.json.decode(printed, type=dict[str, str | list[str]])
        compiled = {
            str(path.relative_to(out)): cpio.file(path.read_bytes()) for path in out.rglob("*.pyc")
        }
    interpreter, extensions = Path(str(answer["interpreter"])), answer["extensions"]
    shared = programs.with_libraries(system, [interpreter, *map(Path, extensions)])
    links = {"usr/bin/python3": cpio.link(interpreter.name)}
    return compiled | shared | links


def _compress(archive: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="bakery-ramdisk-") as scratch:
        plain = Path(scratch) / "archive"
        plain.write_bytes(archive)
        return run(
            [*map(str, COMPRESS), plain], timeout=COMPRESS_SECONDS, output_limit=ARCHIVE_LIMIT_BYTES
        ).stdout


def _prepare(folder: Path) -> None:
    """Make the folder; nothing is worked for that cannot be kept."""
    try:
        folders.make(folder)
    except OSError as error:
        raise BakeryError(f"{folder} cannot be written: {error.strerror}") from None


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files into `folder`, each whole or not at all."""
    try:
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise BakeryError(f"{folder} cannot be written: {error.strerror}") from None
