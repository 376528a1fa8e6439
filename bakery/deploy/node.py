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
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from bakery.deploy.journal import (
    FINAL,
    VISIT_LIMIT,
    AgentInfo,
    Deployment,
    Journal,
    Record,
    State,
    Visit,
)
from bakery.deploy.nbd import DiskFailed
from bakery.deploy.writing import Mismatch, Watcher
from bakery.errors import BakeryError
from bakery.report import Report, Step, pace

BEFORE_THE_SWITCH: tuple[State, ...] = ("power-on", "ramdisk", "writing", "verifying")
AFTER_THE_SWITCH: tuple[State, ...] = ("switched", "rebooted")
NEXT_TRY_SECONDS = 2.0
LISTEN_SECONDS = 0.5


class Power(Protocol):
    """A node's power and what it boots next; BakeryError where its BMC does not do it."""

    def power(self) -> Literal["on", "off"]:
        """What it is now."""

    def power_on(self) -> None:
        """Returns when it is on."""

    def power_off(self) -> None:
        """Returns when it is off."""

    def boot_from(self, device: Literal["network", "disk"], *, persistent: bool = False) -> None:
        """What the next start tries first."""


class BootOffer(Protocol):
    """What a node meets when it boots over the network. Each call replaces what was offered."""

    def ramdisk(self, deployment: Deployment) -> None:
        """Offer the deploy ramdisk, with this deployment's secrets."""

    def system(self) -> None:
        """Offer the node's own system."""

    def nothing(self) -> None:
        """Offer nothing."""


class Signs(Protocol):
    """What tells how far the node's own system has come."""

    def mark(self) -> int:
        """A number for now: what comes later is the system's."""

    def up(self, mark: int, seconds: float) -> str:
        """Wait for a sign that it runs, at most so long; what was seen since `mark`, or empty."""


class Pull(Protocol):
    """The direct method, as the node meets it."""

    def plan(self, deployment: Deployment, disk_bytes: int) -> bytes:
        """What is to be written on a disk of that size; BakeryError where it is too small."""

    def progress(self, part: str, done: int, total: int) -> None:
        """The node tells how far it is."""

    def written(self) -> None:
        """The node is done."""


Writer = Callable[[AgentInfo, Deployment, Watcher], None]
Release = Callable[[str], None]


@dataclass(frozen=True)
class Means:
    """How a node is worked on.

    `write` raises DiskFailed and Mismatch for what another try may mend, BakeryError for what
    none will. `release` lets the ramdisk at an address go on. `local` is True where the node's
    system is booted from its disk instead of the network.
    """

    power: Power
    boot: BootOffer
    write: Writer
    release: Release
    signs: Signs
    local: bool = False
    pull: Pull | None = None
    """Where the node writes its disk itself: what it is told, and what it tells."""


@dataclass(frozen=True)
class Bounds:
    """How often a node is tried, and how long it may take, in seconds."""

    attempts: int = 3
    ramdisk_seconds: float = 300.0
    running_seconds: float = 900.0
    restart_seconds: float = 300.0
    """Until the firmware of a node that was let go asks for an address; some take minutes."""


class Hopeless(BakeryError):
    """Another try would end the same way."""


class Halted(BakeryError):
    """The conductor was asked to stop; the journal knows where."""


class NodeDeploy:
    """The deploy of one node with one build, whose key is `build`. `run` it in one thread.

    The other methods are for the API's threads.
    """

    def __init__(
        self,
        name: str,
        node: UUID,
        build: str,
        means: Means,
        journal: Journal,
        report: Report,
        bounds: Bounds,
    ) -> None:
        self.name, self.node = name, node
        self._means, self._journal, self._report, self._bounds = means, journal, report, bounds
        self._news = threading.Condition()
        self._halted = threading.Event()
        self._told: str = ""
        self._strayed = False
        self._awaited = False
        self._record = self._begin(build)

    @property
    def record(self) -> Record:
        """How far it is."""
        return self._record

    @property
    def deployment(self) -> Deployment:
        """What the node must know to be believed."""
        return self._record.deployment

    def ramdisk_up(self, agent: AgentInfo) -> bool:
        """The ramdisk offers its disk. It is kept before this returns."""
        with self._news:
            state = self._record.state
            if state in ("power-on", "ramdisk") and self._record.agent is None:
                self._keep(agent=agent)
                self._news.notify_all()
                return True
            self._strayed = self._strayed or state in AFTER_THE_SWITCH
            # Who asks again because the answer was lost is told the same.
            return state in BEFORE_THE_SWITCH and self._record.agent == agent

    def plan(self, agent: AgentInfo, disk_bytes: int) -> bytes | None:
        """What the node is to write on its disk; None where that is not waited for.

        A node that restarts by itself while it writes asks again, and goes on.
        """
        pull = self._means.pull
        if pull is None or not self.ramdisk_up(agent):
            return None
        return pull.plan(self._record.deployment, disk_bytes)

    def progress(self, part: str, done: int, total: int) -> bool:
        """How far the node is; False where it does not write."""
        pull, waited_for = self._means.pull, self._record.state in BEFORE_THE_SWITCH
        if pull is None or not waited_for:
            return False
        pull.progress(part, done, total)
        return True

    def written(self) -> bool:
        """The node has written its disk; what is switched already is told the same again."""
        pull = self._means.pull
        if pull is None or self._record.agent is None:
            return False
        pull.written()
        return True

    def ramdisk_failed(self, error: str) -> bool:
        """The ramdisk says that it cannot go on."""
        with self._news:
            early = self._record.state in ("power-on", "ramdisk")
            writes = self._means.pull is not None and self._record.state in BEFORE_THE_SWITCH
            if early or writes:
                self._told = error
                self._news.notify_all()
            return early or writes

    def bootloader(self, error: str) -> bool:
        """No boot loader is ever asked to be installed: a system is netbooted, or a whole disk."""
        return False

    def boots(self) -> None:
        """The node's firmware asks for an address: it starts over the network."""
        self._awaited = False

    def halt(self) -> None:
        """Stop at the next opportunity; `run` then raises Halted."""
        self._halted.set()
        with self._news:
            self._news.notify_all()

    def run(self) -> Record:
        """Take the node to `running` or `failed`; the record of that end.

        Raises Halted after `halt`, and nothing else that concerns the node.
        """
        self._restore()
        while self._record.state not in FINAL:
            self._check_halted()
            try:
                following = self._steps()[self._record.state]()
            except Halted:
                raise
            except BakeryError as error:
                self._failed_step(error)
            else:
                self._enter(following)
        return self._record

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

    def _begin(self, build: str) -> Record:
        """The journal's record where it is of the same build and not at its end, else a new one."""
        found = self._journal.read()
        if found and found.build == build and found.state not in FINAL:
            self._report.note(f"goes on at '{found.state}' (try {found.attempt})", self.name)
            return found
        record = Record(
            node=self.node,
            name=self.name,
            build=build,
            state="enroll",
            deployment=Deployment.fresh(),
            visits=(Visit("enroll", time.time()),),
        )
        self._journal.write(record)
        return record

    def _restore(self) -> None:
        """Offer again what a conductor before us offered."""
        if self._record.state in BEFORE_THE_SWITCH:
            self._means.boot.ramdisk(self._record.deployment)
        elif self._record.state in AFTER_THE_SWITCH:
            self._means.boot.system()

    def _boot_config(self) -> State:
        with self._step("boot-config"):
            self._means.boot.ramdisk(self._record.deployment)
        return "power-on"

    def _power_on(self) -> State:
        with self._step("power-on"):
            self._start_from("network")
        return "ramdisk"

    def _ramdisk(self) -> State:
        with self._step("ramdisk", "waits for the deploy ramdisk") as step:
            if self._record.agent is None and self._means.power.power() == "off":
                step.note("the node is off: it is started")
                self._start_from("network")
            agent = self._offered()
            step.summary(f"disk {agent.iqn} at {agent.address}")
        return "writing"

    def _offered(self) -> AgentInfo:
        """Wait for `pass_deploy_info`."""
        deadline = time.monotonic() + self._bounds.ramdisk_seconds
        with self._news:
            while self._record.agent is None and not self._told:
                left = deadline - time.monotonic()
                if left <= 0:
                    seconds = self._bounds.ramdisk_seconds
                    raise BakeryError(
                        f"the deploy ramdisk did not report within {seconds:g} s",
                        "see the node's console; does its firmware boot over this network?",
                    )
                self._check_halted()
                self._news.wait(min(left, LISTEN_SECONDS))
            if self._record.agent is None:
                raise Hopeless(f"the deploy ramdisk gave up: {self._told}")
            return self._record.agent

    def _write(self) -> State:
        agent = self._record.agent
        if agent is None:
            return "boot-config"
        with _Steps(self._report, self.name) as steps:
            steps.begin("writing")

            def verifying() -> None:
                self._check_halted()
                steps.begin("verifying")
                self._enter("verifying")

            watcher = Watcher(self._progress(steps), self._progress(steps), verifying)
            try:
                self._means.write(agent, self._record.deployment, watcher)
            except (DiskFailed, Mismatch, Halted):
                raise
            except BakeryError as error:
                raise Hopeless(error.message, error.hint) from error
        return "switched"

    def _progress(self, steps: "_Steps") -> Callable[[int, int], None]:
        def tell(done: int, total: int) -> None:
            self._check_halted()
            if self._told:
                raise Hopeless(f"the deploy ramdisk gave up: {self._told}")
            steps.progress(done, total)

        return tell

    def _switch(self) -> State:
        """Offer the system, then let the ramdisk go; a ramdisk that is gone is power-cycled."""
        with self._step("switched") as step:
            self._means.boot.system()
            with self._news:
                self._keep(mark=self._means.signs.mark())
            device: Literal["network", "disk"] = "disk" if self._means.local else "network"
            agent = self._record.agent
            try:
                self._means.power.boot_from(device, persistent=self._means.local)
                if agent is None:
                    raise BakeryError("there is no ramdisk any more")
                self._awaited = True
                self._means.release(agent.address)
            except BakeryError as error:
                step.note(f"{error.message}: the node is started again by its BMC")
                self._awaited = False
                self._start_from(device)
        return "rebooted"

    def _reboot(self) -> State:
        with self._step("rebooted", "waits for the node's own system") as step:
            began = time.monotonic()
            deadline = began + self._bounds.running_seconds
            while not (seen := self._means.signs.up(self._record.mark, LISTEN_SECONDS)):
                self._check_halted()
                if self._hangs(began):
                    step.note("the node hangs in its restart: it is started again by its BMC")
                    self._awaited = False
                    self._start_from("network")
                    deadline = time.monotonic() + self._bounds.running_seconds
                if self._strayed:
                    raise BakeryError(
                        "the node boots the deploy ramdisk again, though its disk is written",
                        "see its console: which server does it boot from?",
                    )
                if time.monotonic() > deadline:
                    seconds = self._bounds.running_seconds
                    raise BakeryError(
                        f"the node's own system did not come up within {seconds:g} s",
                        "see the node's console; bakery prove boots the same build",
                    )
            step.summary(seen)
        return "running"

    def _hangs(self, since: float) -> bool:
        """Whether a node that was let go has not asked for an address, as it has to, for too long.

        Nothing of the kind can be said of one that boots from its disk, or that was let go by a
        conductor before us.
        """
        late = time.monotonic() - since > self._bounds.restart_seconds
        return self._awaited and late and not self._means.local

    def _start_from(self, device: Literal["network", "disk"]) -> None:
        """Start the node afresh, whatever it does now."""
        power = self._means.power
        if power.power() == "on":
            power.power_off()
        power.boot_from(device, persistent=device == "disk")
        power.power_on()

    def _failed_step(self, error: BakeryError) -> None:
        """Try again, from the power switch, or give the node up."""
        record, last = self._record, self._bounds.attempts
        if isinstance(error, Hopeless) or record.attempt >= last:
            self._give_up(error)
            return
        self._report.note(f"try {record.attempt + 1} of {last}: {error.message}", self.name)
        if self._halted.wait(NEXT_TRY_SECONDS):
            raise Halted("stopped")
        with self._news:
            self._told, self._strayed = "", False
        # Once a disk has been found right it is not written again.
        again: State = "switched" if record.state in AFTER_THE_SWITCH else "boot-config"
        fresh = record.deployment if again == "switched" else record.deployment.renewed()
        self._enter(
            again,
            reason=error.message,
            deployment=fresh,
            attempt=record.attempt + 1,
            agent=None,
        )

    def _give_up(self, error: BakeryError) -> None:
        """Leave nothing that boots half a disk: no offer, and before the switch no power."""
        with contextlib.suppress(BakeryError):
            self._means.boot.nothing()
            if self._record.state not in AFTER_THE_SWITCH:
                self._means.power.power_off()
        reason = error.message + (f" ({error.hint})" if error.hint else "")
        self._enter("failed", reason=reason)
        self._report.note(f"failed: {reason}", self.name)

    def _enter(self, state: State, **changes: object) -> None:
        with self._news:
            visits = (*self._record.visits, Visit(state, time.time()))[-VISIT_LIMIT:]
            self._keep(state=state, visits=visits, **changes)

    def _keep(self, **changes: object) -> None:
        """Change the record and journal it; the lock is held."""
        record = msgspec.structs.replace(self._record, **changes)
        self._journal.write(record)
        self._record = record

    def _step(self, state: State, text: str = "") -> contextlib.AbstractContextManager[Step]:
        return self._report.step(f"{self.name} {state}", text)

    def _check_halted(self) -> None:
        if self._halted.is_set():
            raise Halted("stopped", "the same command goes on where it was")


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
