"""What a command's nodes hold before anything starts: whom to leave alone, what would be lost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from bakery.conductor.journal import FINAL, Journal, Machine, Record
from bakery.conductor.messages import NodeSpec, Result, Until
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool

MOST_ASKED_AT_ONCE = 8
SIGNS = ("", "written", "ping", "ssh", "login")
"""How much each sign tells of a node's system, the most last."""

PowerOf = Callable[[NodeSpec], Literal["on", "off"]]


@dataclass(frozen=True)
class Standing:
    """The nodes to deploy, those that run what is asked, and what the deploy would overwrite.

    `strangers` are nodes that are on, and nobody has seen what runs there.
    """

    todo: tuple[NodeSpec, ...]
    alone: tuple[Record, ...]
    losses: tuple[Record, ...]
    strangers: tuple[NodeSpec, ...] = ()

    def results(self) -> tuple[Result, ...]:
        """Those of the nodes that are left alone."""
        return tuple(
            Result(
                *(record.name, record.node, record.state, record.reason),
                *(record.attempt, record.visits),
                left_alone=True,
                sign=record.sign,
            )
            for record in self.alone
        )


def look(
    nodes: Sequence[NodeSpec],
    wanted: Wanted,
    journals: Path,
    power_of: PowerOf,
    *,
    again: bool,
    is_real: bool = False,
    until: Until = "any",
) -> Standing:
    """Look at every node's journal; `again` means that no node is left alone.

    A journal is not told when its node is switched off, so who would be left alone is asked by
    its BMC. So is a real machine of which no deploy is gone on with and none was seen to run: if
    it is on, somebody may work on it. Raises BakeryError where one is off, cannot be asked, or
    was seen by less than `until` asks for.
    """
    todo: list[NodeSpec] = []
    alone: list[tuple[NodeSpec, Record]] = []
    losses: list[Record] = []
    unknown: list[NodeSpec] = []
    for spec in nodes:
        record = Journal(journals, spec.uuid).read()
        if is_real and not _is_known(record, wanted.on(spec.root_device)):
            unknown.append(spec)
        if record is None or record.state != "running":
            todo.append(spec)
        elif again or record.wanted != wanted.on(spec.root_device):
            todo.append(msgspec.structs.replace(spec, replaces=record.deployment.disk))
            losses.append(record)
        else:
            _refuse_less(record, until)
            alone.append((spec, record))
    asked = [*(spec for spec, _ in alone), *unknown]
    power = dict(zip((spec.uuid for spec in asked), _powers(asked, power_of), strict=True))
    _refuse_those_off([spec.name for spec, _ in alone if power[spec.uuid] == "off"])
    strangers = tuple(spec for spec in unknown if power[spec.uuid] == "on")
    return Standing(tuple(todo), tuple(record for _, record in alone), tuple(losses), strangers)


def _is_known(record: Record | None, wanted: Wanted) -> bool:
    """Whether the node was seen to run, or is being deployed with the same."""
    if record is None:
        return False
    return record.state == "running" or (record.state not in FINAL and record.wanted == wanted)


def _refuse_less(record: Record, until: Until) -> None:
    """BakeryError where a node was never seen to run by the sign that is asked for."""
    wanted = "ping" if until == "any" else until
    if record.sign and SIGNS.index(record.sign) < SIGNS.index(wanted):
        raise BakeryError(
            f"{record.name} has this build already, and was not seen to run: its sign was "
            f"'{record.sign}'",
            f"--until {record.sign} leaves it alone; --again writes it anew",
        )


def refuse_surprises(spec: NodeSpec, record: Record | None) -> None:
    """BakeryError where the node runs something that the request did not say may be overwritten.

    Whoever was asked answered before the node was held, and another deploy may have ended since.
    """
    if record and record.state == "running" and record.deployment.disk != spec.replaces:
        raise BakeryError(
            f"{spec.name} was deployed by another command meanwhile: it runs {record.wanted}",
            "run the command again",
        )


def loss(record: Record, wanted: Wanted) -> str:
    """What a node runs, and since when, for who is asked whether that may go."""
    others = record.wanted.build == wanted.build and record.wanted != wanted
    since = datetime.fromtimestamp(record.visits[-1].at, UTC).astimezone()
    return (
        f"{record.name} runs {record.wanted}"
        + (", deployed with other options," if others else "")
        + f" since {since.isoformat(sep=' ', timespec='minutes')}"
        + _on_disk(record.machine)
    )


def strangers_loss(spec: NodeSpec) -> str:
    """The same of a node that is on, and that bakery has not seen to run."""
    return f"{spec.name} is on, and what runs there is not known here"


def _on_disk(machine: Machine) -> str:
    """Which disk that is on, as far as the node told."""
    if not machine.disk_bytes:
        return ""
    model = machine.disk_model or "a disk"
    serial = f", serial {machine.disk_serial}" if machine.disk_serial else ""
    return f", on {model}{serial}, {machine.disk_bytes / 1e9:.0f} GB"


def _powers(nodes: Sequence[NodeSpec], power_of: PowerOf) -> list[str]:
    """Whether each is on; all are asked at once, as far as there are hands."""

    def power(spec: NodeSpec) -> str:
        try:
            return power_of(spec)
        except BakeryError as error:
            raise BakeryError(f"{spec.name}: {error.message}", error.hint) from error

    with Pool(MOST_ASKED_AT_ONCE) as pool:
        return list(pool.map(power, nodes))


def _refuse_those_off(off: Sequence[str]) -> None:
    if off:
        raise BakeryError(
            f"this build was deployed to {', '.join(off)} before, and now the power is off",
            "use --again to rewrite it",
        )
