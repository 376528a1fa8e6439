"""A node of the lab: its power is a QEMU process, its disk and console outlive that.

A node is used by one thread, its keeper's main one: the kernel ends the process of a node with
the thread that started it.
"""

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from bakery.host import run
from bakery.host.errors import BakeryError
from bakery.host.kvm import QEMU, Accel
from bakery.host.qmp import Monitor
from bakery.lab import drive, network, state
from bakery.lab.node import Files, Hardware, boot_order, qemu
from bakery.lab.state import BmcAccess, BootDevice, Node
from bakery.lab.terminal import Terminal
from bakery.vm.firmware import Uefi, need_uefi

MESSAGES_LIMIT_BYTES = 16 << 10
RESTART_SECONDS = 2.0
"""A restart is over so long after its last reset: the guest's is followed by the firmware's own,
some 70 ms later, and what was asked for once holds for all of them."""


class VirtualNode:
    """One machine with a blank disk, switched off at first; close it to leave nothing running.

    Its firmware tries the disk first and then the network, until told otherwise.
    """

    def __init__(self, hardware: Hardware, folder: Path, accel: Accel, bmc: BmcAccess) -> None:
        self.hardware = hardware
        self.bmc = bmc
        self.fault = ""
        self._files = Files(folder / hardware.name)
        self._accel = accel
        self._uefi: Uefi | None = need_uefi() if hardware.firmware == "uefi" else None
        self._usual: BootDevice | None = None
        self._once: BootDevice | None = None
        self._reset_at = 0.0
        self._media = ""
        self._media_number = 0
        self._running = contextlib.ExitStack()
        self._process: run.Process | None = None
        self._monitor: Monitor | None = None
        self._make_files()
        self._terminal = Terminal(state.terminal(self._files.folder), self._files.console)
        self._terminal.start()

    @property
    def on(self) -> bool:
        """Whether the machine runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def next_boot(self) -> BootDevice:
        """What the next start tries first."""
        return self.override[0] or "disk"

    @property
    def override(self) -> tuple[BootDevice | None, bool]:
        """What was asked to be tried first, and whether that holds beyond the next start."""
        return (self._once, False) if self._once else (self._usual, True)

    def record(self) -> Node:
        """The node as the lab's record shows it."""
        return Node(
            name=self.hardware.name,
            uuid=str(self.hardware.uuid),
            mac=self.hardware.mac,
            firmware=self.hardware.firmware,
            nic=self.hardware.nic,
            disk=str(self._files.disk),
            disk_bytes=self.hardware.disk_bytes,
            bmc=self.bmc,
            console=str(self._files.console),
            state="on" if self.on else "off",
            boot=self.next_boot,
            fault=self.fault,
        )

    def power_on(self) -> None:
        """Switch it on; nothing where it is on. BakeryError where QEMU cannot be started."""
        if self.on:
            return
        self._settle()
        self.fault = ""
        self._terminal.forget_input()
        boot, self._once = self.next_boot, None
        ours, theirs = (self._running.enter_context(end) for end in socket.socketpair())
        ours.settimeout(0)
        messages = self._running.enter_context(self._files.messages.open("wb"))
        words = qemu(
            self.hardware,
            self._files,
            tap=network.tap(self.hardware.number),
            boot=boot,
            accel=self._accel,
            uefi=self._uefi,
            paused=bool(self._media),
        )
        spawned = run.spawn(
            words,
            stdin=self._terminal.guest.fileno(),
            stdout=theirs.fileno(),
            stderr=messages,
            cwd=self._files.folder,
        )
        self._process = self._running.enter_context(spawned)
        self._monitor = Monitor(ours)
        if self._media:
            self._tell_inserted()
            self._tell("cont")
        self._tell_boot_order()

    def power_off(self) -> None:
        """Take its power away at once; what its disk was told is kept."""
        if self._process is not None:
            run.end(self._process, grace=0)
            self._process = None
        self._settle()

    def reset(self) -> None:
        """Restart it at once."""
        self._tell("system_reset")

    def shut_down(self) -> None:
        """Ask its operating system to switch it off."""
        self._tell("system_powerdown")

    def boot_from(self, device: BootDevice | None, *, persistent: bool = False) -> None:
        """What to try first at the next start alone, or from then on; None: as if never told."""
        if device is None or persistent:
            self._usual, self._once = device, None
        else:
            self._once = device
        self._reset_at = 0.0
        self._tell_boot_order()

    @property
    def media(self) -> str:
        """The URL or path of what is in its virtual CD drive; empty where nothing is."""
        return self._media

    def insert_media(self, place: str) -> None:
        """Put the medium at a URL or an absolute path into its virtual CD drive.

        What was in it before is ejected. BakeryError where it cannot be read there; the drive is
        then as it was.
        """
        drive.checked(place)
        self.eject_media()
        self._media = place
        self._tell_inserted()

    def eject_media(self) -> None:
        """Take out what is in its virtual CD drive; nothing where it is empty."""
        if self._media:
            self._tell_all(drive.ejection(self._media_number))
        self._media = ""

    def look(self) -> None:
        """Take note of what the machine did by itself: it restarted, or it is off."""
        if self._process is not None and self._process.poll() is not None:
            self._settle()
            return
        events = self._monitor.events() if self._monitor is not None else []
        self._note_refusals()
        if "RESET" in events:
            self._reset_at = time.monotonic()
        elif self._reset_at and time.monotonic() - self._reset_at > RESTART_SECONDS:
            self._restarted()
            self._tell_boot_order()

    def close(self) -> None:
        """Switch it off, and end its console."""
        self.power_off()
        self._terminal.close()

    def _tell_boot_order(self) -> None:
        """QEMU reads it at each restart of the machine; the present one has begun."""
        for device, index in boot_order(self.next_boot).items():
            place = {"path": f"/machine/peripheral/{device}", "property": "bootindex"}
            self._tell("qom-set", {**place, "value": index})

    def _tell_inserted(self) -> None:
        self._media_number += 1
        self._tell_all(drive.opening())
        self._tell_all(drive.insertion(self._media, self._media_number))

    def _tell_all(self, commands: Iterable[drive.Command]) -> None:
        for command, arguments in commands:
            self._tell(command, arguments)

    def _tell(self, command: str, arguments: Mapping[str, object] | None = None) -> None:
        """Ask QEMU, if it runs, and wait for nothing; of one that is gone the state will tell."""
        if self._monitor is not None:
            with contextlib.suppress(BakeryError):
                self._monitor.send(command, arguments)

    def _note_refusals(self) -> None:
        """A medium that QEMU could not read after all: the drive is empty."""
        for refused in self._monitor.refusals() if self._monitor is not None else []:
            if refused.command == "blockdev-add":
                reason = refused.reason.replace(self._media, "…") if self._media else ""
                self.fault = f"the medium cannot be read: {reason or 'it is ejected'}"

    def _restarted(self) -> None:
        """What was asked for once has been used, if the machine has restarted."""
        if self._reset_at:
            self._reset_at, self._once = 0.0, None

    def _settle(self) -> None:
        """Let go of a machine that is off; tell why where QEMU failed."""
        self._restarted()
        code = self._process.poll() if self._process is not None else 0
        self._process = self._monitor = None
        self._running.close()
        if code:
            self.fault = f"{QEMU} {run.ending(code)}{self._last_words()}"

    def _last_words(self) -> str:
        with self._files.messages.open("rb") as file:
            words = run.tail(file.read(MESSAGES_LIMIT_BYTES), lines=2)
        return f": {words}" if words else ""

    def _make_files(self) -> None:
        try:
            self._files.folder.mkdir(mode=0o700)
            with self._files.disk.open("wb") as disk:
                os.truncate(disk.fileno(), self.hardware.disk_bytes)
            if self._uefi:
                shutil.copyfile(self._uefi.variables.path, self._files.variables)
        except OSError as error:
            raise BakeryError(
                f"the files of {self.hardware.name} cannot be made in {self._files.folder.parent}: "
                f"{error.strerror}",
                "choose another folder with --lab, or a smaller --disk",
            ) from None
