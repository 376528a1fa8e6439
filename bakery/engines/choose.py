"""Which engine serves: the table of both, and what keeps one from serving on this machine."""

from pathlib import Path
from typing import Literal

from bakery import tools
from bakery.engines.base import Engine
from bakery.errors import BakeryError
from bakery.report import Report

EngineName = Literal["direct", "guestfs"]
EngineOption = Literal["auto", "direct", "guestfs"]


def pick(option: EngineOption) -> tuple[EngineName, str]:
    """The engine for `option` and why it was taken; BakeryError where it cannot serve here."""
    if option != "auto":
        reason = _why_not(option)
        if reason:
            raise BakeryError(f"the {option} engine cannot serve here: {reason}", "bakery doctor")
        return option, f"--engine {option}"
    obstacle = _why_not("direct")
    if obstacle is None:
        return "direct", "needs no appliance"
    other = _why_not("guestfs")
    if other is None:
        return "guestfs", f"the direct engine cannot serve here: {obstacle}"
    raise BakeryError(
        f"no engine can serve here: direct: {obstacle}; guestfs: {other}", "bakery doctor"
    )


def open_engine(
    name: EngineName, source: Path, source_format: str, work: Path, report: Report
) -> Engine:
    """A session of that engine on `source`, in the existing private folder `work`."""
    if name == "direct":
        from bakery.engines.direct import DirectEngine

        return DirectEngine(source, source_format, work, report)
    from bakery.engines.guestfs import GuestfsEngine

    return GuestfsEngine(source, source_format, work, report)


def _why_not(name: EngineName) -> str | None:
    if name == "direct":
        from bakery.engines import direct

        return direct.why_not()
    missing = tools.missing(["guestfish", "qemu-img"])
    return f"{', '.join(missing)} not installed" if missing else None
