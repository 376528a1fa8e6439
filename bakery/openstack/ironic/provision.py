"""Nodes on their way from `enroll` to `available`: what to ask of each, and waiting for it.

Source of states and verbs: Ironic's state machine (ironic/common/states.py). The next step follows
from the state that a node is in, so that a run which was killed is simply gone on with.
"""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import as_completed
from typing import Literal

import msgspec

from bakery.host.report import Step
from bakery.openstack.connection import CloudError
from bakery.openstack.ironic.client import Ironic
from bakery.openstack.ironic.records import NodeThere

Verb = Literal["manage", "inspect", "provide"]
ENROLL, MANAGEABLE = "enroll", "manageable"
ON_THE_WAY = frozenset(
    {
        "verifying", "inspecting", "inspect wait", "cleaning", "clean wait", "adopting",
        "deleting", "unrescuing", "rescuing", "rescue wait", "servicing", "service wait",
    }
)  # fmt: skip
FAILED = {"inspect failed": "inspect", "clean failed": "provide"}
"""By the verb that led there. From both, `manage` leads back."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0


class Goals(msgspec.Struct, frozen=True):
    """How far nodes are to go; each includes `manage`."""

    manage: bool = False
    inspect: bool = False
    provide: bool = False

    @property
    def any(self) -> bool:
        """Whether nodes are to go anywhere."""
        return self.manage or self.inspect or self.provide


class Reached(msgspec.Struct, frozen=True):
    """Where a node ended, and why no further, if that is so; `verbs` were asked for."""

    state: str
    error: str = ""
    verbs: tuple[str, ...] = ()


def next_step(
    node: NodeThere, goals: Goals, asked: Sequence[str]
) -> Verb | Literal["wait", "done", "failed"]:
    """What comes next for a node, of which `asked` was asked already in this run.

    A node that is further than it should go, or on another way (deployed, rescued), stays there.
    """
    state = node.state
    if state in ON_THE_WAY:
        return "wait"
    if FAILED.get(state) in asked:
        return "failed"
    verb: Verb
    if state == ENROLL or state in FAILED:
        verb = "manage"
    elif state != MANAGEABLE:
        return "done"
    elif goals.inspect and not node.fields.get("inspection_finished_at"):
        verb = "inspect"
    elif goals.provide:
        verb = "provide"
    else:
        return "done"
    return "failed" if verb in asked else verb


class Drive:
    """Brings the nodes `uuids` as far as `goals` say; `concurrency` are asked at a time."""

    def __init__(
        self, ironic: Ironic, uuids: Iterable[str], goals: Goals, concurrency: int
    ) -> None:
        self.ironic = ironic
        self.goals = goals
        self.concurrency = concurrency
        self.open = set(uuids)
        self.asked: dict[str, list[str]] = {uuid: [] for uuid in self.open}
        self.refused: dict[str, str] = {}
        self.reached: dict[str, Reached] = {}

    def run(self, step: Step, timeout_seconds: float) -> dict[str, Reached]:
        """Wait until each is there, or cannot get there; where each ended."""
        total, pause = len(self.open), FIRST_PAUSE_SECONDS
        end = time.monotonic() + timeout_seconds
        while self.open:
            before = (len(self.open), sum(map(len, self.asked.values())))
            self._turn(late=time.monotonic() >= end)
            step.emit("progress", f"{total - len(self.open)} of {total} nodes")
            after = (len(self.open), sum(map(len, self.asked.values())))
            pause = FIRST_PAUSE_SECONDS if after != before else pause * 1.5
            if self.open:
                time.sleep(min(pause, LONGEST_PAUSE_SECONDS))
        return self.reached

    def _turn(self, *, late: bool) -> None:
        """Look at all nodes once, and ask for what comes next."""
        there = {node.uuid: node for node in self.ironic.states() if node.uuid in self.open}
        for uuid in self.open - set(there):
            self._close(uuid, Reached("", "the node is gone", tuple(self.asked[uuid])))
        verbs: dict[str, Verb] = {}
        for uuid, node in there.items():
            step = next_step(node, self.goals, self.asked[uuid])
            if step == "done" or step == "failed" or late:
                self._close(uuid, self._reached(node, step))
            elif step != "wait":
                verbs[uuid] = step
        self._ask(verbs)

    def _reached(self, node: NodeThere, step: str) -> Reached:
        state, asked = node.state, tuple(self.asked[node.uuid])
        if step == "done":
            return Reached(state, verbs=asked)
        if step != "failed":
            return Reached(state, f"still {state} when time was up", asked)
        why = self.refused.get(node.uuid) or str(
            node.fields.get("last_error") or "Ironic gives no reason"
        )
        back = "" if state in FAILED else "back "
        return Reached(state, f"{asked[-1]} led {back}to {state}: {why}", asked)

    def _close(self, uuid: str, reached: Reached) -> None:
        self.open.discard(uuid)
        self.reached[uuid] = reached

    def _ask(self, verbs: dict[str, Verb]) -> None:
        with self.ironic.at_once(self.concurrency) as pool:
            waiting = {
                pool.submit(self.ironic.provision, uuid, verb): uuid for uuid, verb in verbs.items()
            }
            for done in as_completed(waiting):
                uuid = waiting[done]
                self.asked[uuid].append(verbs[uuid])
                error = done.exception()
                # The state tells the next time whether it was taken all the same.
                if isinstance(error, CloudError):
                    self.refused[uuid] = error.message
                elif error is not None:
                    raise error
