"""One node's way from enrolled to running, each step journalled before it is begun.

A step looks at what is there, does what is lacking, and is safe to do twice; so a conductor that
was killed begins the step it was at once more. A step that fails is tried again from the power
switch, a bounded number of times; then the node is `failed`, with the reason kept. Until a disk
has been read back and found right, nothing but the deploy ramdisk is offered to the node.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Literal
from uuid import UUID

from bakery.bmc.bmc import NotOffered
from bakery.conductor.disk_errors import DiskFailed, Mismatch
from bakery.conductor.journal import FINAL, AgentInfo, Deployment, Journal, Record, State, Visit
from bakery.conductor.means import Bounds, Means
from bakery.conductor.node_calls import AFTER_THE_SWITCH, BEFORE_THE_SWITCH, NodeCalls
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError
from bakery.host.printable import printable
from bakery.host.report import Report, Step, pace
from bakery.node.agent import proof
from bakery.node.agent.writing import Tell

LISTEN_SECONDS = 0.5
DEFECT_CHARACTERS = 300


class Hopeless(BakeryError):
    """Another attempt would end the same way."""


class Halted(BakeryError):
    """The conductor was asked to stop; the journal knows where."""


class NodeDeploy:
    """The deploy of one node with what is `wanted` on its disk; `calls` are the node's own.

    `run` it in one thread; `halt` is for others.
    """

    def __init__(
        self,
        name: str,
        node: UUID,
        wanted: Wanted,
        means: Means,
        journal: Journal,
        report: Report,
        bounds: Bounds,
    ) -> None:
        self.name, self.node = name, node
        self._means, self._report, self._bounds = means, report, bounds
        self._halted = threading.Event()
        self._identified = False
        self.calls = NodeCalls(
            self._begin(wanted, journal), journal, means.peer, means.pull, means.machine
        )

    @property
    def record(self) -> Record:
        """How far it is."""
        return self.calls.record

    def halt(self) -> None:
        """Stop at the next opportunity; `run` then raises Halted."""
        self._halted.set()
        self.calls.wake()

    def run(self) -> Record:
        """Take the node to `running` or `failed`; the record of that end.

        Raises Halted after `halt`, and nothing else that concerns the node.
        """
        self._restore()
        while self.record.state not in FINAL:
            self._check_halted()
            try:
                following = self._steps()[self.record.state]()
            except Halted:
                raise
            except BakeryError as error:
                self._failed_step(error)
            except Exception as error:  # noqa: BLE001 - one node's end is not the others'
                self._failed_step(_defect(error))
            else:
                self.calls.enter(following)
        return self.record

    def _steps(self) -> dict[State, Callable[[], State]]:
        return {
            "enroll": lambda: "boot-config",
            "boot-config": self._boot_config,
            "power-on": self._power_on,
            "ramdisk": self._ramdisk,
            "writing": self._write,
            "verifying": self._write,  # what was read back before the end is not known
            "switched": self._switch,
            "rebooted": self._reboot,
        }

    def _begin(self, wanted: Wanted, journal: Journal) -> Record:
        """The journal's record where the same is wanted and it is not at its end, or a new one."""
        found = journal.read()
        if found and found.wanted == wanted and found.state not in FINAL:
            self._report.note(f"resumes at '{found.state}' (attempt {found.attempt})", self.name)
            return found
        record = Record(
            node=self.node,
            name=self.name,
            wanted=wanted,
            state="enroll",
            deployment=Deployment.fresh(),
            visits=(Visit("enroll", time.time()),),
        )
        journal.write(record)
        return record

    def _restore(self) -> None:
        """Offer again what a conductor before us offered."""
        if self.record.state in BEFORE_THE_SWITCH:
            self._means.boot.ramdisk(self.record.deployment)
        elif self.record.state in AFTER_THE_SWITCH:
            self._means.boot.system()

    def _boot_config(self) -> State:
        with self._step("boot-config"):
            self._means.boot.ramdisk(self.record.deployment)
        return "power-on"

    def _power_on(self) -> State:
        with self._step("power-on"):
            self._check_identity()
            self._start_from("network")
        return "ramdisk"

    def _check_identity(self) -> None:
        """Refuse a BMC that says that it is another machine's, before that is switched off."""
        machine = self._means.machine
        if machine.serial or machine.others:
            told = self._means.power.identity()
            other = machine.other_serial(told.serial or "") or machine.others_card(told.macs or ())
            if other:
                self.calls.other = f"its BMC says that {other}"
                self._check_failed()
        self._identified = True

    def _ramdisk(self) -> State:
        with self._step("ramdisk", "waits for the deploy ramdisk") as step:
            if self.record.agent is None and self._means.power.power() == "off":
                step.note("the node is off: starting it")
                self._start_from("network")
            agent = self._offered()
            step.summary(f"disk {agent.iqn} at {agent.address}")
        return "writing"

    def _offered(self) -> AgentInfo:
        """Wait for `pass_deploy_info`."""
        seconds = self._bounds.ramdisk_seconds
        deadline = time.monotonic() + seconds
        while (agent := self.record.agent) is None:
            self._check_failed()
            left = deadline - time.monotonic()
            if left <= 0:
                raise BakeryError(
                    f"the deploy ramdisk did not report within {seconds:g} s",
                    "see the node's console; does its firmware boot over this network?",
                )
            self._check_halted()
            self.calls.wait(min(left, LISTEN_SECONDS))
        return agent

    def _write(self) -> State:
        agent = self.record.agent
        if agent is None:
            return "boot-config"
        with _Steps(self._report, self.name) as steps:
            steps.begin("writing")
            try:
                self._means.write(agent, self.record.deployment, self._tell(steps))
            except (DiskFailed, Mismatch, Halted):
                raise
            except BakeryError as error:
                raise Hopeless(error.message, error.hint) from error
        return "switched"

    def _tell(self, steps: "_Steps") -> Tell:
        verifying = False

        def tell(part: str, done: int, total: int) -> None:
            nonlocal verifying
            self._check_halted()
            self._check_failed()
            if part == "verifying" and not verifying:
                verifying = True
                steps.begin("verifying")
                self.calls.enter("verifying")
            steps.progress(done, total)

        return tell

    def _check_failed(self) -> None:
        if self.calls.other:
            raise Hopeless(
                f"{self.calls.other}: nothing was written",
                "is the BMC's address that of another machine? Correct the nodes file",
            )
        if self.calls.error:
            raise BakeryError(f"the deploy ramdisk gave up: {self.calls.error}")

    def _switch(self) -> State:
        """Offer the system, then let the ramdisk go; a ramdisk that is gone is power-cycled."""
        with self._step("switched") as step:
            self._means.boot.system()
            self.calls.keep(mark=self._means.signs.mark())
            device: Literal["network", "disk"] = "disk" if self._means.local else "network"
            agent = self.record.agent
            try:
                self._boot_from(device)
                if agent is None:
                    raise BakeryError("the ramdisk is gone")
                self.calls.awaited = True
                self._means.release(agent.address, proof.word(self.record.deployment.key))
            except BakeryError as error:
                step.note(f"{error.message}: restarting the node through its BMC")
                self.calls.awaited = False
                self._start_from(device)
        return "rebooted"

    def _reboot(self) -> State:
        with self._step("rebooted", "waits for the node's own system") as step:
            began = time.monotonic()
            deadline = began + self._bounds.running_seconds
            while not (seen := self._means.signs.up(self.record.mark, LISTEN_SECONDS)):
                self._check_halted()
                if self._hangs(began):
                    step.note("the node hangs in its restart: restarting it through its BMC")
                    self.calls.awaited = False
                    self._start_from("network")
                    deadline = time.monotonic() + self._bounds.running_seconds
                if self.calls.strayed:
                    raise BakeryError(
                        "the node boots the deploy ramdisk again, though its disk is written",
                        "see its console: which server does it boot from?",
                    )
                if time.monotonic() > deadline:
                    raise self._silent()
            step.summary(seen.words)
            self.calls.keep(sign=seen.kind)
        return "running"

    def _silent(self) -> BakeryError:
        """There was no sign of the node's own system in time."""
        seconds, silence = self._bounds.running_seconds, self._means.signs.silence
        if silence:  # it may run all the same, and restarting it would not tell
            return Hopeless(
                f"no sign of the node's own system was seen within {seconds:g} s, though its disk "
                "is written and was read back",
                silence,
            )
        return BakeryError(
            f"the node's own system did not come up within {seconds:g} s",
            "see the node's console; bakery prove boots the same build",
        )

    def _hangs(self, since: float) -> bool:
        """Whether a node that was let go has not asked for an address, as it has to, for too long.

        Nothing of the kind can be said of one that boots from its disk, or that was let go by a
        conductor before us.
        """
        late = time.monotonic() - since > self._bounds.restart_seconds
        return self.calls.awaited and late and not self._means.local

    def _start_from(self, device: Literal["network", "disk"]) -> None:
        """Start the node afresh, whatever it does now."""
        power = self._means.power
        if power.power() == "on":
            power.power_off()
        self._boot_from(device)
        power.power_on()

    def _boot_from(self, device: Literal["network", "disk"]) -> None:
        """Have the next start try it, and for the disk each later one, where the BMC can say so."""
        power = self._means.power
        if device == "network":
            power.boot_from(device)
            return
        try:
            power.boot_from(device, persistent=True)
        except NotOffered as error:
            self._report.note(
                f"{error.message}: it starts from its disk this time, and later by its firmware's "
                "own order",
                self.name,
            )
            power.boot_from(device)

    def _failed_step(self, error: BakeryError) -> None:
        """Try again, from the power switch, or give the node up."""
        record, last = self.record, self._bounds.attempts
        if isinstance(error, Hopeless) or record.attempt >= last:
            self._give_up(error)
            return
        self._report.note(f"attempt {record.attempt + 1} of {last}: {error.message}", self.name)
        if self._halted.wait(self._bounds.next_attempt_seconds):
            raise Halted("stopped")
        self.calls.forget()
        # Once a disk has been found right it is not written again.
        again: State = "switched" if record.state in AFTER_THE_SWITCH else "boot-config"
        fresh = record.deployment if again == "switched" else record.deployment.renewed()
        self.calls.enter(
            again,
            reason=error.message,
            deployment=fresh,
            attempt=record.attempt + 1,
            agent=None,
        )

    def _give_up(self, error: BakeryError) -> None:
        """Leave nothing that boots half a disk: no offer, and before the switch no power."""
        self._means.boot.nothing()
        if self._means.pull:
            self._means.pull.withdraw()
        with contextlib.suppress(BakeryError):
            # Whose machine another one is, or one that could not be asked, nobody knows here.
            unknown = self.calls.other or (self.record.state == "power-on" and not self._identified)
            if self.record.state not in AFTER_THE_SWITCH and not unknown:
                self._means.power.power_off()
        reason = error.message + (f" ({error.hint})" if error.hint else "")
        self.calls.enter("failed", reason=reason)
        self._report.note(f"failed: {reason}", self.name)

    def _step(self, state: State, text: str = "") -> contextlib.AbstractContextManager[Step]:
        return self._report.step(f"{self.name} {state}", text)

    def _check_halted(self) -> None:
        if self._halted.is_set():
            raise Halted("stopped", "run the same command to continue")


def _defect(error: Exception) -> BakeryError:
    """What nobody expected, as the failure of one node."""
    text = printable(str(error), DEFECT_CHARACTERS)
    return BakeryError(f"an unexpected {type(error).__name__}: {text}", "please report this")


class _Steps:
    """Steps of a report that follow each other inside one call."""

    def __init__(self, report: Report, name: str) -> None:
        self._report, self._name = report, name
        self._stack = contextlib.ExitStack()
        self._step: Step | None = None

    def __enter__(self) -> "_Steps":
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.__exit__(*details)  # type: ignore[arg-type]

    def begin(self, state: State) -> None:
        """End the step before, well, and begin this one."""
        self._stack.close()
        self._step = self._stack.enter_context(self._report.step(f"{self._name} {state}"))

    def progress(self, done: int, total: int) -> None:
        """How far the step is, in bytes."""
        assert self._step is not None
        seconds = self._step.seconds
        self._step.progress(done, total, pace(done, total, seconds))
        self._step.summary(f"{done / 1e6:.0f} MB, {pace(done, done, seconds)}")
