"""One check for each kind of value in a description of nodes; what is wrong is said at its spot.

Each follows what Ironic itself accepts (ironic/common/utils.py, ironic/api/controllers/v1), and is
stricter only where it says so.
"""

import functools
import re
from collections.abc import Mapping
from urllib.parse import quote
from uuid import UUID

from bakery.host.printable import shown
from bakery.node.agent import hints
from bakery.node.agent.errors import AgentError
from bakery.openstack.ironic.fields import LOCAL_LINK, RESERVED_NAMES, Field
from bakery.openstack.ironic.problems import Spot, meant, nearest

NAME = re.compile(r"[A-Za-z0-9._~-]{1,255}")
MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
DATAPATH_ID = re.compile(r"[0-9a-f]{16}")
CUSTOM = "CUSTOM_"
TRAIT = re.compile(r"CUSTOM_[A-Z0-9_]+")
TRAIT_LIMIT, TRAITS_LIMIT = 255, 50
# Ironic takes any text; Placement makes CUSTOM_… of it, with _ for all that is no letter or digit.
RESOURCE_CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NUMBERS = ("cpus", "local_gb", "memory_mb")
NUMBER_LIMIT = 1 << 53
IRONIC_HINTS = (*hints.TEXTS, *hints.NUMBERS, hints.FLAG, *hints.ALIASES, "wwn_vendor_extension")
SECRET = re.compile(
    r"pass|pswd|secret|token|credential|community|private|(auth|priv|kg|encrypted)_?key"
)


def is_secret(key: str) -> bool:
    """Whether what stands under this key is never shown."""
    return SECRET.search(key.lower()) is not None


def kind_of(value: object) -> str:
    """What a value is, in words."""
    kinds = {dict: "a mapping", list: "a list", bool: "true or false", str: "text"}
    if value is None:
        return "nothing"
    return kinds.get(type(value), "a number")


def mapping(spot: Spot, value: object) -> dict[str, object]:
    """A mapping; an empty one where it is none."""
    if isinstance(value, dict):
        return value
    spot.wrong(f"must be a mapping, not {kind_of(value)}")
    return {}


def sequence(spot: Spot, value: object) -> list[object]:
    """A list; an empty one where it is none."""
    if isinstance(value, list):
        return value
    spot.wrong(f"must be a list, not {kind_of(value)}")
    return []


def field(spot: Spot, value: object, expected: Field) -> object:
    """A value of the kind that a field holds; None where it is none."""
    if value is None:
        spot.wrong("has no value: give one, or leave the line out")
        return None
    if expected.kind == "mapping":
        return mapping(spot, value)
    if expected.kind == "flag":
        return flag(spot, value)
    if expected.kind == "uuid":
        return uuid(spot, value)
    return text(spot, value, expected.limit)


def text(spot: Spot, value: object, limit: int = 255) -> str | None:
    """A printable text of bounded length. Lines may break where a field is that long."""
    if not isinstance(value, str):
        quotes = "; write it in quotes" if isinstance(value, int | float) else ""
        spot.wrong(f"must be text, not {kind_of(value)}{quotes}")
        return None
    if len(value) > limit:
        spot.wrong(f"is longer than {limit} characters")
    elif not value.strip():
        spot.wrong("is empty")
    elif not all(c.isprintable() or (c == "\n" and limit > 255) for c in value):
        spot.wrong("contains an unprintable character")
    else:
        return value
    return None


def flag(spot: Spot, value: object) -> bool | None:
    """True or false, also as text."""
    word = str(value).lower() if isinstance(value, bool | str | int) else ""
    if word in (*hints.TRUE, *hints.FALSE):
        return word in hints.TRUE
    spot.wrong(f"must be true or false, not {shown(value)}")
    return None


def uuid(spot: Spot, value: object) -> str | None:
    """A UUID, as Ironic writes it."""
    if isinstance(value, str) and _is_uuid(value):
        return str(UUID(value))
    spot.wrong(f"{shown(value)} is not a UUID")
    return None


def name(spot: Spot, value: object) -> str | None:
    """A node's or a port's name."""
    word = text(spot, value)
    if word is None:
        return None
    if not NAME.fullmatch(word):
        spot.wrong(f"{shown(word)} is not a name: only letters, digits and - . _ ~")
        return None
    if word in RESERVED_NAMES:
        spot.wrong(f"{word!r} is reserved by Ironic")
        return None
    if _is_uuid(word):
        spot.wrong("a name cannot look like a UUID")
        return None
    return word


def _is_uuid(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True


def mac(spot: Spot, value: object) -> str | None:
    """A MAC address of one network card, in lower case."""
    word = text(spot, value)
    if word is None:
        return None
    address = word.lower()
    if not MAC.fullmatch(address):
        dashes = address.replace("-", ":")
        hint = f"; did you mean {dashes!r}?" if MAC.fullmatch(dashes) else ""
        spot.wrong(f"{shown(word)} is not a MAC address (six pairs like 52:54:00:12:34:56){hint}")
        return None
    if int(address[:2], 16) & 1:
        spot.wrong(f"{address} is a multicast address, not a network card's")
        return None
    return address


def resource_class(spot: Spot, value: object) -> str | None:
    """A resource class: Ironic takes any text of 80 letters, this one that of a word alone."""
    word = text(spot, value, 80)
    if word is None or RESOURCE_CLASS.fullmatch(word):
        return word
    spot.wrong(f"{shown(word)} is not a resource class: only letters, digits and - . _")
    return None


def traits(spot: Spot, value: object) -> tuple[str, ...]:
    """The traits of a node: of the standard ones, or CUSTOM_…; sorted."""
    found: list[str] = []
    for index, entry in enumerate(sequence(spot, value)):
        here = spot.at(index)
        word = text(here, entry, TRAIT_LIMIT)
        if word is None:
            continue
        if word in found:
            here.wrong(f"{word} appears twice")
        elif _trait(here, word):
            found.append(word)
    if len(found) > TRAITS_LIMIT:
        spot.wrong(f"{len(found)} traits: a node has {TRAITS_LIMIT} at most")
    return tuple(sorted(found))


@functools.cache
def _standard_traits() -> frozenset[str]:
    import os_traits

    return frozenset(os_traits.get_traits())


def _trait(spot: Spot, word: str) -> bool:
    standard = _standard_traits()
    if TRAIT.fullmatch(word) or word in standard:
        return True
    if word.upper().startswith(CUSTOM):
        rule = f"{CUSTOM} and then only capital letters, digits and _"
        spot.wrong(f"{shown(word)} is not a trait: {rule}")
    else:
        near = nearest(word.upper(), standard)
        hint = f"; did you mean {near}?" if near else f"; custom traits begin with {CUSTOM}"
        spot.wrong(f"{shown(word)} is not a standard trait{hint}")
    return False


def capabilities(spot: Spot, value: object) -> dict[str, str]:
    """Capabilities: `boot_mode:uefi,profile:compute`, or a mapping of the same."""
    if isinstance(value, str):
        pairs = [part.partition(":")[::2] for part in value.split(",")] if value.strip() else []
    else:
        pairs = [(key, _plain(part)) for key, part in mapping(spot, value).items()]
    found: dict[str, str] = {}
    for key, part in ((key.strip(), part.strip()) for key, part in pairs):
        if not key or not part or re.search(r"[:,]|[^ -~]", key + part):
            spot.wrong(
                f"{shown(f'{key}:{part}')} is not a capability: NAME:VALUE, separated by commas"
            )
        elif key in found:
            spot.wrong(f"the capability {key!r} appears twice")
        else:
            found[key] = part
    boot_mode = found.get("boot_mode", "uefi")
    if boot_mode not in ("bios", "uefi"):
        spot.wrong(f"boot_mode is bios or uefi, not {shown(boot_mode)}")
    return found


def _plain(value: object) -> str:
    """A value of a mapping of capabilities as Ironic's text has it; empty where it cannot be."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""


def number(spot: Spot, value: object) -> int | None:
    """A whole number from 0 on, also as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 17:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < NUMBER_LIMIT:
        spot.wrong(f"must be a whole number, not {shown(value)}")
        return None
    return value


def root_device(spot: Spot, value: object) -> dict[str, object]:
    """Root device hints: what the deploy ramdisk of bakery's own would read, operators included.

    Ironic knows a few names more than that; what stands behind them is a text.
    """
    found = mapping(spot, value)
    if not found:
        spot.wrong("is empty: name a hint, or leave it out")
    for key, wanted in found.items():
        here = spot.at(key)
        if key not in IRONIC_HINTS:
            here.wrong(f"is not a root device hint; {meant(key, IRONIC_HINTS)}")
        elif isinstance(wanted, int) and key not in (*hints.NUMBERS, hints.FLAG):
            # YAML has made 0x5000… and 00012345 other numbers: what was written is gone.
            here.wrong(f"must be text, not {kind_of(wanted)}; write it in quotes")
        elif not isinstance(wanted, str | int | bool) or (
            isinstance(wanted, bool) and key != hints.FLAG
        ):
            here.wrong(f"must be text or a number, not {kind_of(wanted)}")
        else:
            _hint(here, key, str(wanted))
    return found


def _hint(spot: Spot, key: str, wanted: str) -> None:
    stands_for = key if key in (*hints.NUMBERS, hints.FLAG) else hints.TEXTS[0]
    try:
        hints.parse(f"{stands_for}={quote(wanted)}")
    except AgentError:
        if key == hints.FLAG:
            rule = "true or false"
        elif key in hints.NUMBERS:
            rule = "a number of GiB, or one of == != >= <= > < <or> before it"
        else:
            rule = "a text, or one of s== s!= s>= s<= s> s< <in> <or> before it"
        spot.wrong(f"{shown(wanted)} cannot be read: {rule}")


def local_link(spot: Spot, value: object) -> dict[str, object]:
    """Where a port is plugged in: switch and port, or a network that nobody manages."""
    found = mapping(spot, value)
    for key, part in found.items():
        if key not in LOCAL_LINK:
            spot.at(key).wrong(f"is unknown; {meant(key, LOCAL_LINK)}")
        else:
            text(spot.at(key), part)
    needs = (("port_id", "switch_id"), ("port_id", "hostname"))
    managed = found.get("network_type", "managed")
    if managed not in ("managed", "unmanaged"):
        spot.at("network_type").wrong(f"is managed or unmanaged, not {shown(managed)}")
    elif found and managed == "managed" and not any(set(keys) <= set(found) for keys in needs):
        spot.wrong("needs port_id and switch_id (or, of a smart NIC, hostname)")
    switch = found.get("switch_id")
    if isinstance(switch, str):
        switch = switch.lower()
        if not MAC.fullmatch(switch) and not DATAPATH_ID.fullmatch(switch):
            spot.at("switch_id").wrong(f"{shown(switch)} is neither a MAC nor an OpenFlow datapath")
        found = found | {"switch_id": switch}
    return found


def driver_info(spot: Spot, found: Mapping[str, object]) -> None:
    """What every driver wants of its details: passwords are text, and no line breaks in texts.

    A YAML number that was meant for a password has lost its zeros in front.
    """
    for key, value in found.items():
        here = spot.at(key)
        if is_secret(key) and not isinstance(value, str):
            here.wrong(f"must be text, not {kind_of(value)}; write it in quotes")
        elif value is None:
            here.wrong("has no value: give one, or leave the line out")
        elif isinstance(value, str) and not value.isprintable():
            here.wrong("contains an unprintable character")
        elif key.endswith("_port") and not _is_port(value):
            here.wrong(f"must be a port, 1 to 65535, not {shown(value)}")


def _is_port(value: object) -> bool:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 16
