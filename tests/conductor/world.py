"""A node in a file: its power, what it is offered, what it booted, what its disk holds.

It outlives the process that works on it, as a node outlives a killed conductor. What a node must
never do is kept in `wrong`.
"""

import os
import signal
import threading
from pathlib import Path
from uuid import UUID

import msgspec

from bakery.conductor.disk_errors import DiskFailed, Mismatch
from bakery.conductor.journal import AgentInfo, Deployment, Journal
from bakery.conductor.means import Bounds, Means
from bakery.conductor.node import NodeDeploy
from bakery.conductor.peer import Peer
from bakery.conductor.wanted import Wanted
from bakery.host.errors import BakeryError
from bakery.host.report import silent

NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
WANTED = Wanted(build="k1", name="sample")
AGENT = AgentInfo("192.0.2.7", "iqn.2008-10.org.openstack:node")
BOUNDS = Bounds(attempts=3, ramdisk_seconds=0.5, running_seconds=0.5, next_attempt_seconds=0.002)


class Facts(msgspec.Struct):
    power: str = "off"
    offer: str = "nothing"
    booted: str = ""
    disk: str = "blank"
    writes: int = 0
    starts: int = 0
    wrong: list[str] = []
    token: str = ""


class World:
    """The node, its BMC and what it boots by; `faults` maps a step to how often it goes wrong."""

    def __init__(self, path: Path, faults: dict[str, int] | None = None) -> None:
        self.path = path
        self.faults = dict(faults or {})
        self.device = "disk"
        self.facts = Facts()
        if path.exists():
            self.facts = msgspec.json.decode(path.read_bytes(), type=Facts)

    def save(self) -> None:
        self.path.write_bytes(msgspec.json.encode(self.facts))

    def goes_wrong(self, step: str) -> bool:
        left = self.faults.get(step, 0)
        self.faults[step] = left - 1
        return left > 0

    # Power
    def power(self):
        return self.facts.power

    def power_on(self) -> None:
        if self.goes_wrong("power"):
            raise BakeryError("the BMC refused: 0xd5")
        self.facts.power = "on"
        self.facts.starts += 1
        self.start()

    def power_off(self) -> None:
        self.facts.power, self.facts.booted = "off", ""
        self.save()

    def boot_from(self, device, *, persistent=False) -> None:
        self.device = device

    def start(self) -> None:
        local = self.device == "disk"
        self.facts.booted = "system" if local else self.facts.offer
        if self.facts.booted == "system" and self.facts.disk != "whole":
            self.facts.wrong.append(f"booted a disk that is {self.facts.disk}")
        self.save()

    # BootOffer
    def ramdisk(self, deployment: Deployment) -> None:
        self.facts.offer, self.facts.token = "ramdisk", deployment.token
        self.save()

    def system(self) -> None:
        if self.facts.disk != "whole":
            self.facts.wrong.append(f"offered a disk that is {self.facts.disk}")
        self.facts.offer = "system"
        self.save()

    def nothing(self) -> None:
        self.facts.offer = "nothing"
        self.save()

    # Signs
    def mark(self) -> int:
        return 7

    def up(self, mark: int, seconds: float) -> str:
        assert mark == 7
        if self.goes_wrong("login"):
            raise BakeryError("kernel panic: no init")
        return "login reached" if self.facts.booted == "system" else ""

    def write(self, agent, deployment, tell) -> None:
        assert agent == AGENT
        if self.facts.booted != "ramdisk":
            raise DiskFailed("cannot log in to the disk")
        self.facts.disk, self.facts.writes = "half", self.facts.writes + 1
        self.save()
        tell("writing", 1, 2)
        if self.goes_wrong("write"):
            raise DiskFailed("the connection to the disk was lost")
        if self.goes_wrong("image"):
            raise BakeryError("the node's disk is too small")
        tell("verifying", 0, 2)
        if self.goes_wrong("read-back"):
            raise Mismatch("the disk gave back other bytes")
        self.facts.disk = "whole"
        self.save()

    def release(self, address: str, word: str) -> None:
        assert (address, word[:5]) == (AGENT.address, "done ")
        if self.facts.booted != "ramdisk" or self.goes_wrong("release"):
            raise BakeryError("the ramdisk does not listen")
        self.device = "network"
        if self.goes_wrong("restart"):
            self.facts.booted = ""
        else:
            self.start()

    def means(self, *, local: bool = False) -> Means:
        return Means(
            self,
            self,
            self.write,
            self.release,
            self,
            Peer(lambda asked: asked == AGENT.address),
            local,
        )

    def ramdisk_lives(self, deploy: NodeDeploy, stop: threading.Event) -> None:
        """Be the ramdisk: report whenever the node has booted it, as long as nobody listened."""
        told = 0
        while not stop.wait(0.005):
            if self.facts.booted == "ramdisk" and told != self.facts.starts:
                if self.goes_wrong("report"):
                    told = self.facts.starts
                elif self.goes_wrong("ramdisk"):
                    deploy.calls.ramdisk_failed("several disks match")
                    told = self.facts.starts
                elif deploy.calls.ramdisk_up(AGENT):
                    told = self.facts.starts


def deploy_in(
    folder: Path, faults=None, *, local=False, wanted=WANTED, journal=None, bounds=BOUNDS
):
    """A world in `folder`, and the deploy of its node."""
    world = World(folder / "world.json", faults)
    journal = journal or Journal(folder / "journal", NODE)
    return world, NodeDeploy(
        "node-1",
        NODE,
        wanted,
        world.means(local=local),
        journal,
        silent(),
        bounds,
    )


def run(world: World, deploy: NodeDeploy):
    """The deploy to its end, with the node's ramdisk alive; its record."""
    stop = threading.Event()
    ramdisk = threading.Thread(target=world.ramdisk_lives, args=(deploy, stop), daemon=True)
    ramdisk.start()
    try:
        with Journal(world.path.parent / "journal", NODE).held():
            return deploy.run()
    finally:
        stop.set()
        ramdisk.join()


class Deadly(Journal):
    """A journal whose process is killed at a state: before it is written, or right after."""

    def __init__(self, folder: Path, state: str, moment: str) -> None:
        super().__init__(folder, NODE)
        self._at = (state, moment)

    def write(self, record) -> None:
        last = self.read()
        entered = last is None or last.state != record.state
        if entered and self._at == (record.state, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(record)
        if entered and self._at == (record.state, "after"):
            os.kill(os.getpid(), signal.SIGKILL)


def main(words: list[str]) -> None:
    """FOLDER STATE MOMENT: deploy, and be killed there."""
    folder, state, moment = Path(words[0]), words[1], words[2]
    world, deploy = deploy_in(folder, journal=Deadly(folder / "journal", state, moment))
    print(run(world, deploy).state)
