"""What a console line says about a boot: the texts systems print when they arrive or fail.

Sources of the texts: agetty(8), sulogin(8) and systemd's emergency.service; dracut's modules
base and rootfs-block; initramfs-tools' scripts/local and scripts/functions; Linux
kernel/panic.c and init/do_mounts.c; GRUB's normal and rescue prompts; SeaBIOS boot.c; EDK2's
boot manager and shell.
"""

import re
from dataclasses import dataclass
from typing import Literal

Outcome = Literal[
    "login", "emergency", "panic", "no-root", "no-boot", "timeout", "stopped", "qemu-failed"
]

TITLES: dict[Outcome, str] = {
    "login": "login reached",
    "emergency": "emergency mode",
    "panic": "kernel panic",
    "no-root": "no root filesystem",
    "no-boot": "nothing to boot",
    "timeout": "timeout",
    "stopped": "the guest ended itself",
    "qemu-failed": "QEMU failed",
}

# A boot ends with one of these. Some are prompts: no line end follows them.
ENDS: tuple[tuple[Outcome, re.Pattern[str]], ...] = (
    ("panic", re.compile(r"Kernel panic - not syncing: .*")),
    ("emergency", re.compile(r"You are in (?:emergency|rescue) mode")),
    ("emergency", re.compile(r"Give root password for (?:maintenance|system maintenance|login)")),
    ("emergency", re.compile(r"Press Enter for (?:maintenance|system maintenance)")),
    ("emergency", re.compile(r"Cannot open access to console, the root account is locked")),
    ("emergency", re.compile(r"Entering (?:emergency|rescue) mode")),
    ("emergency", re.compile(r"dracut: (?:FATAL|Refusing to continue)")),
    ("emergency", re.compile(r"^(?:dracut|initqueue|cmdline|pre-\w+|mount|switch_root):/\S*# ?$")),
    # dracut waited two thirds of its time; what it starts now serves arrays that lack a disk.
    ("no-root", re.compile(r"dracut-initqueue: starting timeout scripts")),
    ("no-root", re.compile(r"Gave up waiting for (?:root|suspend/resume)[\w ]* device")),
    ("emergency", re.compile(r"^\(initramfs\) ?$")),
    ("no-boot", re.compile(r"grub rescue>")),
    ("no-boot", re.compile(r"^grub> ?")),
    ("no-boot", re.compile(r"No bootable device")),
    ("no-boot", re.compile(r"BdsDxe: No bootable option or device was found")),
    ("no-boot", re.compile(r"UEFI Interactive Shell v")),
    ("no-boot", re.compile(r"^Shell> ?$")),
    ("login", re.compile(r"^(?!Last )[\w.-]{1,80} login: ?")),
)

# Why a boot will end badly, and how it is told (match.expand); the first one is its reason.
WHOLE = r"\g<0>"
CAUSES: tuple[tuple[Outcome, re.Pattern[str], str], ...] = (
    ("no-root", re.compile(r"[Ww]arning: (/dev/\S+) does not exist"), r"\1 does not exist"),
    ("no-root", re.compile(r"dracut-initqueue.*\[ -e \"(/dev/\S+)\" \]"), r"\1 does not exist"),
    ("no-root", re.compile(r"ALERT!\s+(\S+) does not exist"), r"\1 does not exist"),
    ("no-root", re.compile(r"VFS: Unable to mount root fs.*"), WHOLE),
    ("no-root", re.compile(r"Failed to mount /?sysroot"), WHOLE),
    ("no-root", re.compile(r"ostree-prepare-root.*(?:rror|ailed|ouldn't).*"), WHOLE),
    ("emergency", re.compile(r"Timed out waiting for device .*"), WHOLE),
    ("emergency", re.compile(r"Dependency failed for .*"), WHOLE),
    ("emergency", re.compile(r"\[FAILED\] (Failed to (?:mount|start) .*)"), r"\1"),
    ("no-boot", re.compile(r"^error: .*"), WHOLE),
    ("no-boot", re.compile(r"Boot failed: .*"), WHOLE),
    ("no-boot", re.compile(r"BdsDxe: failed to .*"), WHOLE),
)

FAILURES_LIMIT = 64
MOUNT = re.compile(r"mount - /")

# Told while the wait goes on; not yet an end, and the weakest reason.
WAITING = re.compile(
    r"dracut-initqueue.*timeout, still waiting for .*"
    r"|A start job is running for .*"
    r"|Job \S+/start running"
    r"|Begin: Waiting for root file system.*"
)

# The initramfs looks for the root filesystem; and signs that it has been found.
ROOT_SOUGHT = re.compile(
    r"Starting (?:\S*dracut-initqueue|dracut initqueue hook)"
    r"|Begin: Waiting for root file system"
    r"|Waiting for root device"
)
ROOT_FOUND = re.compile(
    r"Reached target \S*(?:initrd-root-d|Initrd Root D|initrd-root-f|Initrd Root F)"
    r"|Mount(?:ing|ed) \S*sysroot"
    r"|sysroot\.mount/start running"
    r"|[Ss]witching root"
    r"|Begin: Running /scripts/local-bottom"
)


@dataclass(frozen=True)
class Ending:
    """How a boot ended, and the console's own words for it."""

    outcome: Outcome
    words: str


class Signs:
    """Reads console lines in order and tells when the boot has ended.

    `seeking_root` is True while the initramfs waits for the root filesystem's device.
    """

    def __init__(self) -> None:
        self.last_line = ""
        self.seeking_root = False
        self._waiting = ""
        self._causes: dict[Outcome, str] = {}
        self._failures: list[str] = []

    @property
    def cause(self) -> str:
        """The best reason so far for a boot that does not arrive; may be empty."""
        named = self._causes.get("no-root") or self._failed
        return named or self._waiting or self._causes.get("no-boot", "")

    @property
    def _failed(self) -> str:
        """The first failure, which drags the others along, and the first mount that failed."""
        mounts = [text for text in self._failures if MOUNT.search(text)]
        return "; ".join(dict.fromkeys([*self._failures[:1], *mounts[:1]]))

    def line(self, text: str) -> Ending | None:
        """Take one whole line."""
        text = text.strip()
        if not text:
            return None
        self.last_line = text
        self._learn(text)
        return self._ending(text)

    def prompt(self, text: str) -> Ending | None:
        """Look at the line that is still open; a panic's line is waited for until it is whole."""
        ending = self._ending(text.strip("\t")) if text.strip() else None
        return None if ending and ending.outcome == "panic" else ending

    def _learn(self, text: str) -> None:
        for outcome, pattern, template in CAUSES:
            found = pattern.search(text)
            if found and outcome != "emergency":
                self._causes.setdefault(outcome, found.expand(template))
            elif found and len(self._failures) < FAILURES_LIMIT:
                self._failures.append(found.expand(template).rstrip("."))
        if ROOT_SOUGHT.search(text):
            self.seeking_root = True
        elif ROOT_FOUND.search(text):
            self.seeking_root = False
        waiting = WAITING.search(text)
        if waiting:
            self._waiting = waiting[0]

    def _ending(self, text: str) -> Ending | None:
        for outcome, pattern in ENDS:
            found = pattern.search(text)
            if found:
                return self._judge(outcome, found[0].strip())
        return None

    def _judge(self, outcome: Outcome, words: str) -> Ending:
        """An emergency shell for want of the root filesystem is named for that want."""
        if outcome in ("emergency", "no-root") and "no-root" in self._causes:
            return Ending("no-root", self._causes["no-root"])
        if outcome == "emergency":
            return Ending(outcome, self._failed or self._waiting or words)
        if outcome == "no-boot":
            return Ending(outcome, self._causes.get("no-boot") or words)
        return Ending(outcome, words)
