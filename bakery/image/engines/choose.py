"""Which engine serves: what each can do, and what keeps it from serving here, or this image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.image.engines import direct, guestfs
from bakery.image.engines.base import LACKING, Capability, Engine
from bakery.image.engines.direct import DirectEngine
from bakery.image.engines.guestfs import GuestfsEngine

EngineName = Literal["direct", "guestfs"]
EngineOption = Literal["auto", "direct", "guestfs"]

IN_ORDER: tuple[EngineName, ...] = ("direct", "guestfs")
"""The one that is quick comes first."""
DOING: dict[Capability, str] = {
    "quick": "answer at once",
    "edit": "edit this image",
    "resize": "edit this image",
    "scrub": "scrub this image",
    "keep": "keep what is removed from this image",
    "restore": "put files into this image",
    "map": "read the volumes of this image",
}


class Picked(NamedTuple):
    """The engine that serves, why it was taken, and what kept the one before it (empty: none)."""

    name: EngineName
    reason: str
    obstacle: str = ""


def pick(
    option: EngineOption,
    need: Capability | None = None,
    obstacles: Mapping[EngineName, str] | None = None,
    first: EngineName = "direct",
) -> Picked:
    """The engine for `option` that has the capability `need`.

    `obstacles` is why an engine cannot do so with this image; `first` is asked before the other,
    since its session may be open. BakeryError where there is none, with the engine that could.
    """
    found: dict[EngineName, str] = {}
    in_order = sorted(IN_ORDER, key=lambda name: name != first)
    for name in in_order if option == "auto" else (option,):
        reason = _obstacle(name, need, obstacles or {})
        if reason is None:
            return Picked(name, _because(option, found), next(iter(found.values()), ""))
        found[name] = reason
    what = DOING[need] if need else "serve here"
    if option == "auto":
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.items())
        raise BakeryError(f"no engine can {what}: {reasons}", "bakery doctor")
    able = [name for name in IN_ORDER if need and _obstacle(name, need, obstacles or {}) is None]
    raise BakeryError(
        f"the {option} engine cannot {what}: {found[option]}",
        f"the {able[0]} engine can: --engine auto" if able else "bakery doctor",
    )


def can(name: EngineName, capability: Capability) -> bool:
    """Whether an engine can do that at all."""
    engine = DirectEngine if name == "direct" else GuestfsEngine
    return capability in engine.capabilities


def open_engine(
    name: EngineName,
    source: Path,
    source_format: str,
    size_bytes: int,
    work: Path,
    report: Report,
    key: bytes | None = None,
) -> Engine:
    """A session of that engine on `source`, a disk of that size, in the private folder `work`.

    `key` opens what is encrypted with LUKS, for an engine that can read such volumes.
    """
    if name == "direct":
        return DirectEngine(source, source_format, work, report)
    return GuestfsEngine(source, source_format, work, report, size_bytes, key)


def _because(option: EngineOption, passed: Mapping[EngineName, str]) -> str:
    if option != "auto":
        return f"--engine {option}"
    reasons = [f"the {name} engine cannot serve here: {why}" for name, why in passed.items()]
    return "; ".join(reasons) or "needs no appliance"


def _obstacle(
    name: EngineName, need: Capability | None, obstacles: Mapping[EngineName, str]
) -> str | None:
    """Why an engine cannot do that with this image on this machine, or None."""
    if obstacles.get(name):
        return obstacles[name]
    if need and not can(name, need):
        return LACKING[need]
    return direct.why_not() if name == "direct" else guestfs.why_not()
