"""The manifest: what a build is. Written last, so a folder that holds one is a finished build."""

import re
import stat
from pathlib import Path
from typing import Literal

import msgspec

from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened, refused

VERSION = 1
SUFFIX = ".manifest.json"
SIZE_LIMIT_BYTES = 16 << 20
NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+.-]{0,127}")
Layout = Literal["pv", "lv", "disk"]
Done = Literal["rewritten", "taken out", "noted", "refused"]
"""What becomes of a name. `noted`: it stays, and the system comes up; `refused`: it would not."""
ArtifactName = Literal["kernel", "ramdisk", "base"]
SbomForm = Literal["spdx", "cyclonedx"]
SBOM_FILES: dict[SbomForm, str] = {"spdx": "spdx.json", "cyclonedx": "cdx.json"}
"""What follows the build's name and a dot, by the kind of bill of materials."""
PACKED = ("base.zst", "base.index", "base.bmap")
"""The base once more, for who reads it over a network: no artifacts, since they say nothing new."""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """The image a build was made from; `name` is the file's name without its folder."""

    name: str
    format: str
    virtual_size_bytes: int
    digest: str
    scrubbed: bool = False
    files_added: tuple[str, ...] = ()
    """Paths of the running system."""
    left_unsearched: tuple[str, ...] = ()
    """What the scrub could not search and was told to leave: mount points, devices, files."""
    became: str = ""
    """The digest of the image it became where it was scrubbed or files were added. All else that
    the manifest says is then of that image, whose bytes are the base's but for `edits`."""


class PartitionRecord(msgspec.Struct, frozen=True):
    """The source partition the base was taken from; bytes from the start of the disk."""

    number: int
    start_bytes: int
    size_bytes: int
    type: str


class LvmRecord(msgspec.Struct, frozen=True):
    """The logical volume of the root filesystem; `segments` are its ranges on the source disk."""

    vg: str
    lv: str
    segments: tuple[Extent, ...]


class RootFilesystem(msgspec.Struct, frozen=True):
    """The root filesystem inside the base, as blkid names it."""

    type: str
    uuid: str
    label: str = ""


class Deployment(msgspec.Struct, frozen=True):
    """What the kernel arguments boot. `stateroot`, `checksum` and `serial` are OSTree's."""

    id: str
    """The BLS entry's file name without `.conf`, or the GRUB menu entry's id or title."""
    kernel_version: str
    stateroot: str = ""
    checksum: str = ""
    serial: int = 0


class Edit(msgspec.Struct, frozen=True):
    """A range of the base that differs from the source, in bytes of the base."""

    offset: int
    length: int
    why: str


class LeftBehind(msgspec.Struct, frozen=True, kw_only=True):
    """A device that the system names and that the base does not carry, or not under that name."""

    device: str
    """As the system names it."""
    use: str
    """What for: the mount point, or `swap`, `resume`, `root`, …"""
    named_in: str
    """`FILE:LINE`, the file as its root volume has it; or a kernel argument."""
    done: Done
    now: str = ""
    """What stands there instead, or why it was left so; empty where nothing is to be said."""


class Artifact(msgspec.Struct, frozen=True):
    """A file of the build; `digest` as `bakery.disk.digest` writes it.

    `sha256` is that of the whole file, as sha256sum(1) counts it. It is empty for a base unless
    it was asked for: hashing the zeros of its holes costs more than all the rest of a build.
    """

    size_bytes: int
    digest: str
    sha256: str = ""
    extents: tuple[Extent, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A finished build."""

    version: int = VERSION
    bakery_version: str
    name: str
    layout: Layout
    engine: str
    source: Source
    partition: PartitionRecord | None
    lvm: LvmRecord | None
    root_filesystem: RootFilesystem | None
    deployment: Deployment | None
    """None, like the root filesystem, where a whole disk was built that cannot be taken apart."""
    kernel_args: tuple[str, ...]
    firmware: tuple[str, ...] = ()
    """What the base boots by (`bios`, `uefi`) in layout `disk`; empty elsewhere."""
    sector_bytes: int = 512
    """In layout `disk`: the sectors of the disks that the base boots on. Its partition table
    counts in them, so disks of other sectors show no partitions."""
    architecture: str = ""
    """The processor it is for, as uname(1) names it; empty where nothing in the image tells."""
    distro: str = ""
    """The operating system, as os-release(5) names it in ID: `fedora`, `debian`."""
    artifacts: dict[ArtifactName, Artifact]
    sbom: dict[SbomForm, Artifact] = {}
    """The bills of materials, where any were asked for; they stay beside the build."""
    edits: tuple[Edit, ...] = ()
    files_changed: tuple[str, ...] = ()
    left_behind: tuple[LeftBehind, ...] = ()
    """What the system names and the base does not carry, and what was done about each."""
    mounted: bool = False
    """True where an edit went through a mounted filesystem: its own records changed as well."""
    tools: dict[str, str]
    key: str
    """The content key of the build: equal keys mean the same inputs and options."""

    def file(self, artifact: ArtifactName) -> str:
        """The name of an artifact's file, beside the manifest."""
        return f"{self.name}-{artifact}"

    def sbom_file(self, form: SbomForm) -> str:
        """The name of a bill of materials, beside the manifest."""
        return f"{self.name}.{SBOM_FILES[form]}"


class Build(msgspec.Struct, frozen=True):
    """A manifest and the folder that holds it."""

    directory: Path
    manifest: Manifest

    @property
    def kernel(self) -> Path:
        """The kernel's file."""
        return self.directory / self.manifest.file("kernel")

    @property
    def ramdisk(self) -> Path:
        """The ramdisk's file."""
        return self.directory / self.manifest.file("ramdisk")

    @property
    def base(self) -> Path:
        """The base's file."""
        return self.directory / self.manifest.file("base")


def find(directory: Path) -> Path | None:
    """The manifest in `directory`, or None; BakeryError where there are several."""
    found = sorted(directory.glob("*" + SUFFIX)) if directory.is_dir() else []
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise BakeryError(
            f"{directory} holds several manifests: {names}",
            "keep each build in a folder of its own",
        )
    return found[0] if found else None


def load(directory: Path) -> Build:
    """The finished build in `directory`; BakeryError where there is none or it cannot be read.

    Strangers may have made the folder: a link or a special file among the build's is refused.
    """
    path = find(directory)
    if path is None:
        raise BakeryError(
            f"no finished build in {directory}: there is no *{SUFFIX}",
            f"make one: bakery build IMAGE -o {directory}",
        )
    build = Build(directory, read(path))
    for file in directory.iterdir():
        if file.name.startswith(build.manifest.name) and not stat.S_ISREG(file.lstat().st_mode):
            raise refused(file)
    for name in build.manifest.artifacts:
        file = directory / build.manifest.file(name)
        if not file.exists():
            raise BakeryError(
                f"{path} names {file.name}, which is missing", "run bakery build again"
            )
        opened(file).close()  # a folder is a stranger's: no link out of it is followed
    return build


def read(path: Path) -> Manifest:
    """A manifest file's content; BakeryError says what is wrong with it."""
    try:
        with opened(path) as file:
            text = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"{path} is not a manifest: larger than {SIZE_LIMIT_BYTES} bytes")
    return decode(text, str(path))


def decode(text: bytes, origin: str) -> Manifest:
    """A manifest from its JSON; names in it cannot lead out of its folder."""
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BakeryError(f"{origin} is not a bakery manifest: {error}") from error
    if manifest.version != VERSION:
        raise BakeryError(
            f"{origin} is a manifest of version {manifest.version}; "
            f"this bakery reads version {VERSION}"
        )
    if not valid_name(manifest.name):
        raise BakeryError(f"{origin} names the build {manifest.name!r}, which is not a file name")
    needed = {"base"} if manifest.layout == "disk" else {"kernel", "ramdisk", "base"}
    lacking = needed - set(manifest.artifacts)
    if lacking:
        raise BakeryError(f"{origin} does not list {', '.join(sorted(lacking))}")
    return manifest


def encode(manifest: Manifest) -> bytes:
    """A manifest as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def valid_name(name: str) -> bool:
    """Whether `name` can be the NAME of a build: letters, digits, `.`, `_`, `+`, `-`."""
    return NAME.fullmatch(name) is not None
