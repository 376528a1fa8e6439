"""Boot Loader Specification entries of type 1: `/boot/loader/entries/*.conf`.

The format is UAPI.1 (uapi-group.org, "The Boot Loader Specification"): a key, blanks, and the
rest of the line as a literal value. `docs/bls.md` says where GRUB and OSTree go their own ways.
Files come from an image: everything is bounded, and no path leads out of its filesystem.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import printable, shown
from bakery.system import expansion, kargs, menu, versions

SUFFIX = ".conf"
SIZE_LIMIT_BYTES = 256 << 10
LINE_LIMIT = 1000
INITRD_LIMIT = 32
ENTRY_LIMIT = 256
DEFAULT_OPTIONS = "$default_kernelopts"

_BLANKS = re.compile(r"[ \t]+")
# An options line: its key, the blanks behind it, a carriage return at its end.
_OPTIONS = re.compile(rb"\A([ \t]*options(?=[ \t\r]|\Z))([ \t]*).*?(\r?)\Z", re.DOTALL)
_VARIABLE = re.compile(r"\\\$|\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")
_BAD = re.compile(r"\+0+(?:-[0-9]+)?")


class BlsEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry.

    `id` is the file's name without `.conf`. `linux` and `initrds` are absolute paths in the
    filesystem that holds `/loader`. `options` is the text of all options lines, joined by a
    blank, with boot loader variables (`$kernelopts`) still in it: see `arguments`. An entry
    without any has `$default_kernelopts`, as in GRUB.
    """

    id: str
    linux: str
    initrd: tuple[str, ...] = ()
    options: str = DEFAULT_OPTIONS
    title: str = ""
    version: str = ""
    machine_id: str = ""
    sort_key: str = ""

    @property
    def bad(self) -> bool:
        """Whether boot counting has given the entry up: the name ends in `+0` or `+0-DONE`."""
        return bool(_BAD.fullmatch(self.id[self.id.rfind("+") :])) if "+" in self.id else False


def parse(text: bytes, file_name: str, environment: Mapping[str, str] | None = None) -> BlsEntry:
    """The entry in a file of that name.

    `environment` (GRUB's saved variables, `grub.parse_environment`) fills the variables in initrd
    lines (`$tuned_initrd`); one it does not hold is empty, as in GRUB. Several initrd lines, or
    several names in one, count in their order. Unknown keys are passed over.

    BakeryError, naming the entry, where it has no `linux` key, boots a unified kernel image, or
    names a path that leads elsewhere.
    """
    identity = file_name.rsplit("/", 1)[-1].removesuffix(SUFFIX)
    values = _values(text, identity)
    linux = _first(values, "linux")
    if not linux:
        raise _no_kernel(identity, values)
    names = expand(" ".join(values.get("initrd", ())), environment or {}).split()
    if len(names) > INITRD_LIMIT:
        raise BakeryError(f"the boot entry {shown(identity)} names {len(names)} initrds")
    return BlsEntry(
        id=identity,
        linux=_path(linux, identity),
        initrd=tuple(_path(name, identity) for name in names),
        options=" ".join(values.get("options", (DEFAULT_OPTIONS,))),
        title=_first(values, "title"),
        version=_first(values, "version"),
        machine_id=_first(values, "machine-id"),
        sort_key=_first(values, "sort-key"),
    )


def arguments(entry: BlsEntry, environment: Mapping[str, str] | None = None) -> kargs.Args:
    """The kernel arguments of an entry, its variables filled from GRUB's saved environment.

    A variable the environment does not hold is empty: GRUB's blscfg leaves it out as well
    (`$tuned_params` is there on every RHEL, and set on few). BakeryError where the kernel's
    rules do not hold.
    """
    return kargs.parse(expand(entry.options, environment or {}))


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`$name` and `${name}` replaced, once and not again in what replaced them; `\\$` is `$`.

    BakeryError where that grows beyond all bounds.
    """

    return expansion.joined(_expanded(text, environment))


def _expanded(text: str, environment: Mapping[str, str]) -> Iterator[str]:
    done = 0
    for match in _VARIABLE.finditer(text):
        yield text[done : match.start()]
        name = match[1] or match[2]
        yield environment.get(name, "") if name else "$"
        done = match.end()
    yield text[done:]


def order(entries: Iterable[BlsEntry], saved: str = "") -> list[BlsEntry]:
    """The entries as a boot loader lists them, in front what it takes when nobody chooses.

    The highest `version` leads and the highest id breaks a tie; an entry without a version comes
    after those that have one (libostree: compare_boot_loader_configs; GRUB: blscfg). Before that
    count the specification's own rules, for those who use them: entries that boot counting has
    given up go last, and entries with a `sort-key` go by it and by `machine-id`.

    `saved` is GRUB's `saved_entry`, an id, a title or a number in this order: that entry is put
    in front. One that names nothing here changes nothing, as in GRUB.
    """
    listed = list(entries)
    if len(listed) > ENTRY_LIMIT:
        raise BakeryError(f"there are {len(listed)} boot entries, more than {ENTRY_LIMIT}")
    # Sorting is stable: the rule that weighs least comes first.
    listed.sort(key=lambda entry: entry.id, reverse=True)
    listed.sort(key=lambda entry: versions.sort_key(entry.id), reverse=True)
    listed.sort(key=_version_key, reverse=True)
    listed.sort(key=lambda entry: (not entry.sort_key, entry.sort_key, _machine_key(entry)))
    listed.sort(key=lambda entry: entry.bad)
    place = menu.index([(entry.id, entry.title) for entry in listed], saved)
    return listed if place is None else [listed.pop(place), *listed]


def replace_options(text: bytes, options: str) -> bytes:
    """An entry's file with `options` as its kernel arguments, and nothing else changed.

    The first options line keeps its place and shape; further ones are taken out; where there is
    none, one is added at the end. With empty `options` there is none left, because GRUB stops
    reading an entry at a key without a value. BakeryError on a line break in `options`.
    """
    if not all(" " <= char <= "~" for char in options):
        raise BakeryError(f"the options {shown(options)} hold more than printable ASCII")
    lines = text.split(b"\n")
    places = [i for i, line in enumerate(lines) if _OPTIONS.match(line)]
    value = options.strip().encode()
    if not places and value:
        return _with_line(text, value)
    for i in reversed(places):
        if value and i == places[0]:
            lines[i] = _OPTIONS.sub(lambda m: m[1] + (m[2] or b" ") + value + m[3], lines[i])
        else:
            del lines[i]
    return b"\n".join(lines)


def _with_line(text: bytes, value: bytes) -> bytes:
    end = b"\r\n" if b"\r\n" in text else b"\n"
    start = b"" if not text or text.endswith(b"\n") else end
    return text + start + b"options " + value + end


def _values(text: bytes, identity: str) -> dict[str, list[str]]:
    """Every key's values in their order."""
    if len(text) > SIZE_LIMIT_BYTES or text.count(b"\n") > LINE_LIMIT:
        raise BakeryError(
            f"the boot entry {shown(identity)} is over {SIZE_LIMIT_BYTES} bytes "
            f"or {LINE_LIMIT} lines long"
        )
    values: dict[str, list[str]] = {}
    for line in text.decode("utf-8", "replace").split("\n"):
        key, *value = _BLANKS.split(line.strip(" \t\r"), maxsplit=1)
        if value and not key.startswith("#"):
            values.setdefault(key, []).append(value[0])
    return values


def _first(values: Mapping[str, list[str]], key: str) -> str:
    return printable(values.get(key, [""])[0])


def _path(text: str, identity: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or not text.isprintable() or len(text) > 4096:
        raise BakeryError(
            f"the boot entry {shown(identity)} names the path {shown(text)}, "
            "which is not a file in its filesystem"
        )
    return "/" + "/".join(parts)


def _no_kernel(identity: str, values: Mapping[str, list[str]]) -> BakeryError:
    if any(key in values for key in ("uki", "uki-url", "efi")):
        return BakeryError(
            f"the boot entry {shown(identity)} starts an EFI program, not a kernel: "
            "a unified kernel image carries its arguments sealed inside",
            "use the whole disk: --layout disk",
        )
    return BakeryError(
        f"the boot entry {shown(identity)} names no kernel: it has no 'linux' line",
        "choose another deployment: --deployment N",
    )


def _version_key(entry: BlsEntry) -> tuple[bool, versions.SortKey]:
    return bool(entry.version), versions.sort_key(entry.version)


def _machine_key(entry: BlsEntry) -> str:
    return entry.machine_id if entry.sort_key else ""
