"""Unified kernel images: a kernel, its initrd and its arguments in one EFI program.

Source: UAPI.5 (uapi-group.org, "Unified Kernel Image"); where that is silent, what systemd's stub
does (src/boot/stub.c, src/boot/pe.c). Sections in front of the first `.profile` are the base;
each `.profile` begins one more set of sections, which count before those of the base.
"""

from collections.abc import Mapping, Sequence

import msgspec

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError
from bakery.host.printable import printable, shown
from bakery.system import kargs, loader_lines, pe
from bakery.system.pe import Section

PROFILE_LIMIT = 256
"""systemd's own (src/fundamental/uki.h)."""
TEXT_LIMIT_BYTES = 64 << 10

KERNEL, MAGIC, PROFILE, ADDON_SUFFIX = ".linux", ".sdmagic", ".profile", ".addon.efi"
ADDON_FOLDER = "/loader/addons"
"""Where, on an image's own partition, add-ons for all images lie; for one alone: `addon_folder`."""

_MAGIC_BEGIN, _MAGIC_END = "#### LoaderInfo: ", " ####"
_DEVICETREES = (".dtb", ".dtbauto")
_BLANKS = dict.fromkeys((*range(1, 0x20), 0x7F), " ")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One way to start an image: what the stub would hand to the kernel.

    `number` is what a boot program asks for (`@1` in front of the arguments); nobody asks for 0.
    `id` and `title` are empty where nothing gives them. `cmdline` is None where no section holds
    one: the arguments are then a boot program's. `kernel` and `initrds` are places in the image's
    file; initrds are joined in this order, each filled with zeros to a multiple of four bytes.
    `devicetree`: the stub replaces the firmware's description of the hardware.
    """

    number: int
    kernel: Section
    initrds: tuple[Section, ...]
    cmdline: str | None = None
    id: str = ""
    title: str = ""
    uname: str = ""
    os_release: Mapping[str, str] | None = None
    devicetree: bool = False

    @property
    def arguments(self) -> kargs.Args:
        """The arguments that the image itself holds; BakeryError as `kargs.parse` has it."""
        return kargs.parse(self.cmdline or "")


class Uki(msgspec.Struct, frozen=True, kw_only=True):
    """An image: its processor, its stub (`systemd-stub 252.39`, or empty), its profiles.

    `sealed` says, as the end of a sentence, why the image is good only as a whole; empty for one
    that can as well be taken apart or changed.
    """

    machine: str
    stub: str
    sealed: str
    profiles: tuple[Profile, ...]


class Addon(msgspec.Struct, frozen=True, kw_only=True):
    """What a file beside an image adds to it: arguments, and initrds as in `Profile`.

    `uname`, where it is not empty, names the one kernel that it is for.
    """

    cmdline: str | None
    initrds: tuple[Section, ...]
    uname: str = ""
    devicetree: bool = False


def is_uki(program: pe.Program) -> bool:
    """Whether a program holds a kernel to start, which is all that the stub asks for."""
    return pe.named(program.sections, KERNEL) is not None


def read(read_at: ReadAt, program: pe.Program | None = None) -> Uki:
    """The image in a file, whose headers may be known; BakeryError where it is none."""
    program = program or pe.read(read_at)
    sets = _sets(program.sections)
    if len(sets) > PROFILE_LIMIT:
        raise BakeryError(f"the unified kernel image has {len(sets)} profiles")
    return Uki(
        machine=program.machine,
        stub=magic(read_at, program.sections),
        sealed=_seal(program),
        profiles=tuple(_profile(read_at, number, found) for number, found in enumerate(sets)),
    )


def read_addon(read_at: ReadAt) -> Addon:
    """The add-on in a file; BakeryError where it is none, as where it holds a kernel itself."""
    sections = pe.read(read_at).sections
    if pe.named(sections, KERNEL):
        raise BakeryError("the add-on holds a kernel itself, so the stub passes it over")
    return Addon(
        cmdline=_cmdline(read_at, sections),
        initrds=_initrds(sections),
        uname=_text(read_at, sections, ".uname"),
        devicetree=any(_has(sections, name) for name in _DEVICETREES),
    )


def addon_folder(path: str) -> str:
    """Where the add-ons of the image with that path lie; boot counting is not part of the name."""
    name, _, tries = path.rpartition("+")
    left, _, done = tries.partition(".")[0].partition("-")
    counted = name and left.isdecimal() and (done.isdecimal() or "-" not in tries)
    return (name + tries[tries.find(".") :] if counted and "." in tries else path) + ".extra.d"


def with_addons(
    profile: Profile, addons: Sequence[Addon], options: str | None = None
) -> kargs.Args:
    """The arguments that a profile starts with: `options`, where a boot program hands some on, or
    else its own; and those that add-ons add, in this order. BakeryError as `kargs.parse` has it.

    The stub takes the add-ons of ADDON_FOLDER first, then those of the image's own folder, each
    sorted by name; one that is for another kernel is passed over. (With Secure Boot it takes no
    options in place of an image's own.)
    """
    fitting = [one for one in addons if not profile.uname or one.uname in ("", profile.uname)]
    texts = (options or profile.cmdline, *(one.cmdline for one in fitting))
    return kargs.parse(" ".join(filter(None, texts)).translate(_BLANKS))


def magic(read_at: ReadAt, sections: Sequence[Section]) -> str:
    """What a program of systemd says that it is: `systemd-boot 252.39`; empty for all others."""
    text = _text(read_at, sections, MAGIC)
    if text.startswith(_MAGIC_BEGIN) and text.endswith(_MAGIC_END):
        return text.removeprefix(_MAGIC_BEGIN).removesuffix(_MAGIC_END)
    return ""


def _sets(sections: tuple[Section, ...]) -> list[tuple[Section, ...]]:
    """For each profile its sections, in front those that count before others of their name."""
    starts = [place for place, one in enumerate(sections) if one.name == PROFILE]
    if not starts:
        return [sections]
    base = sections[: starts[0]]
    ends = [*starts[1:], len(sections)]
    return [(*sections[a:b], *base) for a, b in zip(starts, ends, strict=True)]


def _profile(read_at: ReadAt, number: int, sections: tuple[Section, ...]) -> Profile:
    kernel = pe.named(sections, KERNEL)
    if kernel is None or not kernel.size_bytes:
        raise BakeryError(f"profile {number} of the unified kernel image holds no kernel")
    said = _fields(read_at, sections, PROFILE) or {}
    return Profile(
        number=number,
        kernel=kernel,
        initrds=_initrds(sections),
        cmdline=_cmdline(read_at, sections),
        id=said.get("ID", ""),
        title=said.get("TITLE", ""),
        uname=_text(read_at, sections, ".uname"),
        os_release=_fields(read_at, sections, ".osrel"),
        devicetree=any(_has(sections, name) for name in _DEVICETREES),
    )


def _initrds(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Microcode in front: the kernel looks for it in the very first."""
    found = (pe.named(sections, name) for name in (".ucode", ".initrd"))
    return tuple(one for one in found if one and one.size_bytes)


def _cmdline(read_at: ReadAt, sections: Sequence[Section]) -> str | None:
    """The command line as the stub hands it on: control characters are blanks."""
    if not _has(sections, ".cmdline"):
        return None
    text = _raw(read_at, sections, ".cmdline").decode("utf-8", "ignore")
    return text.translate(_BLANKS).strip(" ")


def _fields(read_at: ReadAt, sections: Sequence[Section], name: str) -> Mapping[str, str] | None:
    """The lines of a section as `KEY=value`; None where there is no such section."""
    if not _has(sections, name):
        return None
    found = loader_lines.pairs(_raw(read_at, sections, name), f"section {shown(name)}", "=")
    return {key: printable(value) for key, value in found}


def _text(read_at: ReadAt, sections: Sequence[Section], name: str) -> str:
    return printable(_raw(read_at, sections, name).strip())


def _raw(read_at: ReadAt, sections: Sequence[Section], name: str) -> bytes:
    """The bytes of a small section up to the first NUL; none where there is no such section."""
    section = pe.named(sections, name)
    return pe.content(read_at, section, TEXT_LIMIT_BYTES).split(b"\0")[0] if section else b""


def _has(sections: Sequence[Section], name: str) -> bool:
    section = pe.named(sections, name)
    return section is not None and section.size_bytes > 0


def _seal(program: pe.Program) -> str:
    if program.signed:
        return "it is signed for Secure Boot"
    if _has(program.sections, ".pcrsig"):
        return "what a TPM keeps is bound to it as a whole"
    return ""
