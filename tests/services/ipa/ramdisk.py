"""The ramdisk that the real ironic-python-agent runs in, with bakery's hardware manager beside it.

    .venv/bin/python -m tests.services.ipa.ramdisk FOLDER

Made as a packager would: Debian's packages by debootstrap, the agent by pip, one kernel with the
drivers of bakery's own deploy ramdisk. It takes minutes once and is then in the user's cache;
bakery itself is an archive of its own behind it (Linux, early-userspace/buffer-format.rst), so that
it is always this checkout's. Needs root, as debootstrap does.
"""

import compileall
import hashlib
import py_compile
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zstandard

from bakery.host.run import Arg, run
from bakery.node.ramdisk import cpio, kernel, modules
from bakery.samples.apt_source import machine_mirror, proxies
from bakery.samples.enclosure import run_enclosed
from tests.services import venvs

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
SUITE = "bookworm"
# What the agent runs by name (ironic_python_agent, hardware.py, disk_utils.py, qemu_img.py).
PACKAGES = (
    *("bsdextrautils", "busybox-static", "dmidecode", "dosfstools", "ethtool", "file", "gdisk"),
    *("iproute2", "kmod", "libssl3", "lshw", "mdadm", "parted", "pciutils", "psmisc", "python3"),
    *("qemu-utils", "udev", "util-linux", "zstd"),
)
# Text for people, and what packages leave behind.
LEFT_OUT = (
    *("boot", "usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man"),
    *("var/cache/apt", "var/lib/apt/lists"),
)
PYTHON_PATH = "usr/local/lib/python3.11/dist-packages"  # on the path of SUITE's own Python
COMPILED = ("usr/lib/python3.11", "usr/lib/python3/dist-packages", PYTHON_PATH)
SCRIPTS = {
    "init": "init",
    "lease": "usr/local/sbin/lease",
    "poweroff": "usr/local/sbin/poweroff",
}
LEVEL = 3
MAKE_TIMEOUT_SECONDS = 1800


def make(folder: Path) -> tuple[Path, Path]:
    """Kernel and ramdisk in `folder`, for Ironic's deploy_kernel and deploy_ramdisk."""
    chosen = kernel.find()
    base = _cached(chosen)
    ramdisk = folder / "ipa.initramfs"
    with ramdisk.open("wb") as file:
        file.write(base.read_bytes())
        file.write(_compressed(cpio.pack(_bakery())))
    image = folder / "ipa.kernel"
    shutil.copyfile(chosen.image, image)
    return image, ramdisk


def _cached(chosen: kernel.Kernel) -> Path:
    key = hashlib.sha256(chosen.version.encode())
    for path in sorted(HERE.iterdir()):
        if path.is_file():
            key.update(path.read_bytes())
    made = venvs.cache() / f"ipa-{key.hexdigest()[:16]}.zst"
    with venvs.locked(venvs.cache() / "ipa.lock"):
        if not made.exists():
            draft = made.with_suffix(".part")
            draft.write_bytes(_compressed(cpio.pack(_base(chosen))))
            draft.rename(made)
    return made


def _compressed(pieces: Iterator[bytes]) -> bytes:
    return zstandard.ZstdCompressor(LEVEL, threads=-1).compress(b"".join(pieces))


def _base(chosen: kernel.Kernel) -> dict[str, cpio.Member]:
    """Every file but bakery's."""
    with tempfile.TemporaryDirectory(prefix="bakery-ipa-", dir=venvs.cache()) as scratch:
        tree = Path(scratch) / "tree"
        _install(tree)
        drivers = modules.choose(chosen.modules)
        folder = tree / "usr/lib/modules" / chosen.version
        for path, content in drivers.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        for name in ("modules.builtin", "modules.order"):
            shutil.copyfile(chosen.modules / name, folder / name)
        run(["depmod", "--basedir", tree / "usr", chosen.version])
        for name, place in SCRIPTS.items():
            (tree / place).write_bytes((HERE / name).read_bytes())
            (tree / place).chmod(0o755)
        return dict(_entries(tree))


def _install(tree: Path) -> None:
    words = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE]
    run_enclosed([*words, tree, machine_mirror(SUITE)], env=proxies(), timeout=MAKE_TIMEOUT_SECONDS)
    pip: list[Arg] = [sys.executable, "-m", "pip", "install", "--quiet"]
    pip += ["--requirement", HERE / "requirements.txt", "--target", tree / PYTHON_PATH]
    run(pip, env=venvs.pip_settings(), timeout=MAKE_TIMEOUT_SECONDS)
    for name in LEFT_OUT:
        shutil.rmtree(tree / name, ignore_errors=True)
    for name in COMPILED:
        _compile(tree, name)


def _compile(tree: Path, name: str) -> None:
    """Modules as code that is valid whatever their times: the archive has none (cpio.pack).

    Else the node would compile all it imports at each boot, which takes it a minute or two.
    """
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(
        tree / name,
        stripdir=str(tree),
        prependdir="/",
        quiet=2,
        force=True,
        workers=0,
        invalidation_mode=unchecked,
    )


def _entries(tree: Path) -> Iterator[tuple[str, cpio.Member]]:
    for path in tree.rglob("*"):
        mode = path.lstat().st_mode
        name = str(path.relative_to(tree))
        if stat.S_ISLNK(mode):
            yield name, cpio.link(str(path.readlink()))
        elif stat.S_ISREG(mode):
            yield name, cpio.Member(mode, path.read_bytes())
        elif stat.S_ISDIR(mode):
            yield name, cpio.Member(mode)
    yield "dev/console", cpio.character_device(5, 1)


def _bakery() -> dict[str, cpio.Member]:
    """The hardware manager, the agent it is made of, and the entry point that leads to it."""
    package = REPOSITORY / "bakery"
    node = package / "node"
    files = [
        *(package / "__init__.py", node / "__init__.py", node / "hardware_manager.py"),
        *sorted(node.glob("agent/*.py")),
    ]
    tree = {f"{PYTHON_PATH}/{path.relative_to(REPOSITORY)}": path.read_bytes() for path in files}
    manager = (
        "[ironic_python_agent.hardware_managers]\n"
        "bakery = bakery.node.hardware_manager:PackedImageManager\n"
    )
    info = f"{PYTHON_PATH}/bakery-0.dist-info"
    tree[f"{info}/entry_points.txt"] = manager.encode()
    tree[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: bakery\nVersion: 0\n"
    return {name: cpio.file(content) for name, content in tree.items()}


if __name__ == "__main__":
    print(*make(Path(sys.argv[1])))
