"""What a command's nodes hold before anything starts: whom to leave alone, what would be lost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from bakery.conductor.journal import Journal, Record
from bakery.conductor.messages import NodeSpec, Result
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool

MOST_ASKED_AT_ONCE = 8

PowerOf = Callable[[NodeSpec], Literal["on", "off"]]


@dataclass(frozen=True)
class Standing:
    """The nodes to deploy, those that run what is asked, and what the deploy would overwrite."""

    todo: tuple[NodeSpec, ...]
    alone: tuple[Record, ...]
    losses: tuple[Record, ...]

    def results(self) -> tuple[Result, ...]:
        """Those of the nodes that are left alone."""
        return tuple(
            Result(
                *(record.name, record.node, record.state, record.reason),
                *(record.attempt, record.visits),
                left_alone=True,
            )
            for record in self.alone
        )


def look(
    nodes: Sequence[NodeSpec], wanted: Wanted, journals: Path, power_of: PowerOf, *, again: bool
) -> Standing:
    """Look at every node's journal; `again` means that no node is left alone.

    A journal is not told when its node is switched off, so who would be left alone is asked by
    its BMC. Raises BakeryError where one is off, or cannot be asked.
    """
    todo, alone, losses = [], [], []
    for spec in nodes:
        record = Journal(journals, spec.uuid).read()
        if record is None or record.state != "running":
            todo.append(spec)
        elif again or record.wanted != wanted:
            todo.append(msgspec.structs.replace(spec, replaces=record.deployment.disk))
            losses.append(record)
        else:
            alone.append((spec, record))
    _refuse_those_off([spec for spec, _ in alone], power_of)
    return Standing(tuple(todo), tuple(record for _, record in alone), tuple(losses))


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
    )


def _refuse_those_off(nodes: Sequence[NodeSpec], power_of: PowerOf) -> None:
    def power(spec: NodeSpec) -> str:
        try:
            return power_of(spec)
        except BakeryError as error:
            raise BakeryError(f"{spec.name}: {error.message}", error.hint) from error

    with Pool(MOST_ASKED_AT_ONCE) as pool:
        off = [
            spec.name
            for spec, now in zip(nodes, pool.map(power, nodes), strict=True)
            if now == "off"
        ]
    if off:
        raise BakeryError(
            f"this build was deployed to {', '.join(off)} before, and now the power is off",
            "to write it anew: --again",
        )
