"""What a node calls the conductor for while it is deployed, and what is kept of that.

The calls come from the API's threads (`bakery.conductor.api.Waiting`); the thread that deploys the
node waits for them, and keeps the record here, where both see it.
"""

import threading
import time

import msgspec

from bakery.conductor.expected import ANY_MACHINE, Expected
from bakery.conductor.journal import (
    VISIT_LIMIT,
    AgentInfo,
    Journal,
    Machine,
    Record,
    State,
    Visit,
)
from bakery.conductor.peer import Peer
from bakery.conductor.pulling import Pulling

BEFORE_THE_SWITCH: tuple[State, ...] = ("power-on", "ramdisk", "writing", "verifying")
AFTER_THE_SWITCH: tuple[State, ...] = ("switched", "rebooted")
UNTOLD = Machine()


class NodeCalls:
    """One node, from `record` on; `pull` is there where the node writes its disk itself.

    Who calls is checked by `peer` before; here a state that does not wait refuses, and a machine
    that is not the `expected` one: `other` is why it is not.

    `error` is why its ramdisk cannot go on; `strayed`, that it booted the ramdisk though its disk
    is written; `awaited`, that it was let go and has not been heard of since.
    """

    def __init__(
        self,
        record: Record,
        journal: Journal,
        peer: Peer,
        pull: Pulling | None = None,
        expected: Expected = ANY_MACHINE,
    ) -> None:
        self._record, self._journal, self._pull = record, journal, pull
        self.peer = peer
        peer.follow(record)
        self._news = threading.Condition()
        self._expected = expected
        self.error = self.other = ""
        self.strayed = False
        self.awaited = False

    @property
    def record(self) -> Record:
        """How far it is."""
        return self._record

    def ramdisk_up(self, agent: AgentInfo, machine: Machine = UNTOLD) -> bool:
        """The ramdisk of this machine offers its disk. It is kept before this returns."""
        with self._news:
            state = self._record.state
            if state in ("power-on", "ramdisk") and self._record.agent is None:
                self.other = self._expected.refusal(machine)
                if self.other:
                    self._news.notify_all()
                    return False
                self.keep(agent=agent, machine=machine)
                return True
            self.strayed = self.strayed or state in AFTER_THE_SWITCH
            # Who asks again because the answer was lost, or it restarted, is told the same.
            known = state in BEFORE_THE_SWITCH and self._record.agent == agent
            if known:
                self.peer.reported()
            return known

    def write_list(self, agent: AgentInfo, machine: Machine, public: bytes) -> bytes | None:
        """What the node is to write on its disk, encrypted; None where that is not waited for.

        A node that restarts by itself while it writes asks again, and goes on.
        """
        if self._pull is None or not self.ramdisk_up(agent, machine):
            return None
        return self._pull.write_list(self._record.deployment, machine.disk_bytes, public)

    def progress(self, part: str, done: int, total: int) -> bool:
        """How far the node is; False where it does not write."""
        waits = self._record.agent is not None and self._record.state in BEFORE_THE_SWITCH
        if self._pull is None or not waits:
            return False
        self._pull.progress(part, done, total)
        return True

    def written(self) -> bool:
        """The node has written its disk; what is switched already is told the same again."""
        if self._pull is None or self._record.agent is None:
            return False
        if self._record.state in BEFORE_THE_SWITCH:
            self._pull.written()
        return self._record.state in (*BEFORE_THE_SWITCH, *AFTER_THE_SWITCH)

    def ramdisk_failed(self, error: str) -> bool:
        """The ramdisk says that it cannot go on."""
        with self._news:
            early = self._record.state in ("power-on", "ramdisk")
            writes = self._pull is not None and self._record.state in BEFORE_THE_SWITCH
            if early or writes:
                self.error = error
                self._news.notify_all()
            return early or writes

    def bootloader(self, error: str) -> bool:
        """No boot loader is ever asked to be installed: a system is netbooted, or a whole disk."""
        return False

    def boots(self) -> None:
        """The node's firmware asks for an address: it starts over the network."""
        self.awaited = False
        self.peer.starts()

    def fetches(self) -> None:
        """The node fetches what it boots: it has started, though DHCP may not have been heard."""
        self.awaited = False

    def wait(self, seconds: float) -> None:
        """Return when the ramdisk has offered its disk or failed, on `wake`, or after `seconds`."""
        with self._news:
            if self._record.agent is None and not (self.error or self.other):
                self._news.wait(seconds)

    def wake(self) -> None:
        """Have `wait` return."""
        with self._news:
            self._news.notify_all()

    def forget(self) -> None:
        """The node is started afresh: what it said before does not count."""
        with self._news:
            self.error, self.strayed = "", False

    def enter(self, state: State, **changes: object) -> None:
        """The record is in this state from now on, and has these changes."""
        with self._news:
            visits = (*self._record.visits, Visit(state, time.time()))[-VISIT_LIMIT:]
            self.keep(state=state, visits=visits, **changes)

    def keep(self, **changes: object) -> None:
        """Change the record, in the journal first."""
        with self._news:
            record = msgspec.structs.replace(self._record, **changes)
            self._journal.write(record)
            self._record = record
            self.peer.follow(record)
            self._news.notify_all()
