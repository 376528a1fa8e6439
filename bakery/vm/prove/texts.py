"""The texts that systems print on a console when they arrive, fail, wait or ask.

Sources: agetty(8); sulogin(8) and systemd's emergency.service, rescue.service, firstboot.c,
ask-password-api.c; cryptsetup(8) and Debian's cryptroot scripts; dracut's modules base and
rootfs-block; initramfs-tools' scripts/local and scripts/functions; mkinitcpio's init and
init_functions; Alpine's initramfs-init; NixOS' stage-1-init.sh; BusyBox' ash; Anaconda's
initial-setup; Linux kernel/panic.c, kernel/reboot.c and init/do_mounts.c; GRUB's menu, normal and
rescue prompts; SeaBIOS boot.c; EDK2's boot manager and shell.
"""

import re
from typing import Literal

Outcome = Literal[
    "login", "emergency", "panic", "no-root", "no-boot", "passphrase", "first-boot", "asks",
    "timeout", "stopped", "qemu-failed",
]  # fmt: skip

TITLES: dict[Outcome, str] = {
    "login": "login reached",
    "emergency": "emergency mode",
    "panic": "kernel panic",
    "no-root": "no root filesystem",
    "no-boot": "nothing to boot",
    "passphrase": "a passphrase is asked for",
    "first-boot": "first boot asks for settings",
    "asks": "something waits for an answer",
    "timeout": "timeout",
    "stopped": "the guest ended itself",
    "qemu-failed": "QEMU failed",
}

Rules = tuple[tuple[Outcome, re.Pattern[str]], ...]


def _rules(*pairs: tuple[Outcome, str]) -> Rules:
    return tuple((outcome, re.compile(text)) for outcome, text in pairs)


# A boot ends with one of these. Some are prompts: no line end follows them.
ENDS = _rules(
    ("panic", r"Kernel panic - not syncing: .*"),
    ("no-boot", r"^Entering rescue mode\.\.\."),  # GRUB's; it ends so without a prompt, too
    ("no-boot", r"grub rescue>"),
    ("no-boot", r"^grub> ?"),
    ("no-boot", r"No bootable device"),
    ("no-boot", r"BdsDxe: No bootable option or device was found"),
    ("no-boot", r"UEFI Interactive Shell v"),
    ("no-boot", r"^Shell> ?$"),
    ("emergency", r"(?:You are in|Welcome to|Entering) (?:emergency|rescue) mode"),
    ("emergency", r"Give root password for (?:maintenance|system maintenance|login)"),
    ("emergency", r"Press Enter for (?:maintenance|system maintenance)"),
    ("emergency", r"Cannot open access to console, the root account is locked"),
    ("emergency", r"dracut: (?:FATAL|Refusing to continue)"),
    ("emergency", r"^(?:dracut|initqueue|cmdline|pre-\w+|mount|switch_root):/\S*# ?$"),
    ("emergency", r"ALERT!.* Dropping to a shell!"),
    ("emergency", r"^\(initramfs\) ?$"),
    ("emergency", r"initramfs emergency recovery shell launched"),
    ("emergency", r"You are now being dropped into an emergency shell"),
    ("emergency", r"^\[rootfs [^\]]*\]# ?$"),
    ("emergency", r"An error occurred in stage 1 of the boot process"),
    ("emergency", r"can't access tty; job control turned off"),  # ash where no getty gave it one
    ("stopped", r"reboot: System halted"),
    ("login", r"^(?!Last )[\w.-]{1,80} login: ?"),
)

# A boot ends so where nothing comes of it: whoever is asked may be a program that answers, what
# is waited for may come yet. What tells that it came is below.
WAITS = _rules(
    ("passphrase", r"(?i)(?:\bplease )?\benter (?:the )?(?:LUKS )?pass(?:phrase|word) for .*"),
    ("passphrase", r"(?i)\bpassphrase for (?:/|disk |device |\S*luks).*"),
    ("passphrase", r"Please unlock disk .*"),
    ("passphrase", r"A password is required to access the .* volume"),
    ("passphrase", r"(?i)please enter .*\b(?:PIN|recovery key)\b.*"),
    ("first-boot", r"-- Press any key to proceed --"),
    ("first-boot", r"Please (?:enter|select) .*\(empty to skip.*"),
    ("first-boot", r"Please make (?:your choice|a selection) from (?:the )?above.*"),
    ("asks", r"<\s*(?:OK|Ok|Yes|No|Next|Start|Continue)\s*>"),  # dialog(1), newt
    ("asks", r"^boot: ?$"),  # SYSLINUX
    ("asks", r"^Enter username:"),  # a GRUB menu with a password
    ("asks", r"Please press Enter to activate this console"),  # BusyBox' init, askfirst
    ("asks", r"Use the .{1,8} and .{1,8} keys to (?:select|change).*"),  # a GRUB menu
    # What dracut starts after two thirds of its time serves arrays that lack a disk.
    ("no-root", r"dracut-initqueue: starting timeout scripts"),
    ("no-root", r"Gave up waiting for root[\w ]* device"),
)

# What was asked has been answered, or what was waited for is there.
# For the root filesystem see ROOT_FOUND.
OVER: dict[Outcome, re.Pattern[str]] = {
    "passphrase": re.compile(
        r"Finished .*(?:Cryptography Setup|cryptsetup)|set up successfully"
        r"|Reached target .*Local Encrypted Volumes"
    ),
    "first-boot": re.compile(r"Finished .*(?:First Boot|firstboot)"),
    "asks": re.compile(
        r"executed automatically in \d|^\s*Booting [`'\"]|Linux version|EFI stub:|^Loading "
    ),
}

# A question that is in no table: an open line that ends like one, and stays.
QUESTION = re.compile(r"[:?>#$%\])] ?$")

# Why a boot will end badly, and how it is told (match.expand); the first one is its reason.
_WHOLE = r"\g<0>"
_TELLING: tuple[tuple[Outcome, str, str], ...] = (
    ("no-root", r"[Ww]arning: (/dev/\S+) does not exist", r"\1 does not exist"),
    ("no-root", r"dracut-initqueue.*\[ -e \"(/dev/\S+)\" \]", r"\1 does not exist"),
    ("no-root", r"ALERT!\s+(\S+) does not exist", r"\1 does not exist"),
    ("no-root", r"ERROR: device '(\S+)' not found", r"\1 does not exist"),
    ("no-root", r"ERROR: Failed to mount .* on real root", _WHOLE),
    ("no-root", r"ERROR: Root device mounted successfully, but .*", _WHOLE),
    (
        "no-root",
        r"mount: mounting .* on \S*/(?:mnt-root|sysroot|root|newroot)/? failed.*",
        _WHOLE,
    ),
    ("no-root", r"mount: /(?:new_root|sysroot|root|mnt-root)/?: .*", _WHOLE),
    ("no-root", r"Timed out waiting for device (/dev/\S+), trying to mount anyway", _WHOLE),
    ("no-root", r"stage 2 init script \(.*\) not found", _WHOLE),
    ("no-root", r"VFS: Unable to mount root fs.*", _WHOLE),
    ("no-root", r"Failed to mount /?sysroot", _WHOLE),
    ("no-root", r"ostree-prepare-root.*(?:rror|ailed|ouldn't).*", _WHOLE),
    ("emergency", r"Timed out waiting for device .*", _WHOLE),
    ("emergency", r"Dependency failed for .*", _WHOLE),
    ("emergency", r"\[FAILED\] (Failed to (?:mount|start) .*)", r"\1"),
    ("no-boot", r"^error: .*", _WHOLE),
    ("no-boot", r"Boot failed: .*", _WHOLE),
    ("no-boot", r"BdsDxe: failed to .*", _WHOLE),
)
CAUSES = tuple((outcome, re.compile(text), template) for outcome, text, template in _TELLING)

# Told while something is waited for, again and again; not an end, and the weakest reason.
WAITING = re.compile(
    r"dracut-initqueue.*timeout, still waiting for .*"
    r"|A start job is running for .*"
    r"|Job \S+/start running.*"
    r"|Begin: Waiting for .*"
    r"|Waiting \d+ seconds for device .*"
    r"|waiting for device .* to appear.*"
)
# The boot goes on: what was waited for last came, or is told again.
PROGRESS = re.compile(
    r"\[  OK  \]|\b(?:Reached target|Started|Finished|Mounted|Found device) |Begin: (?!Waiting)"
    r"|[Ss]witching root|Welcome to "
)

# The initramfs looks for the root filesystem; and signs that it has been found.
ROOT_SOUGHT = re.compile(
    r"Starting (?:\S*dracut-initqueue|dracut initqueue hook)"
    r"|Begin: Waiting for root file system"
    r"|Waiting for root device"
    r"|Waiting \d+ seconds for device"
    r"|waiting for device .* to appear"
)
ROOT_FOUND = re.compile(
    r"Reached target .*(?:initrd-root-d|Initrd Root D|initrd-root-f|Initrd Root F)"
    r"|Mount(?:ing|ed) \S*sysroot"
    r"|sysroot\.mount/start running"
    r"|[Ss]witching root"
    r"|Begin: Running /scripts/(?:local-bottom|init-bottom)"
    r"|:: running (?:late|cleanup) hook|<<< NixOS Stage 2 >>>|OpenRC \S+ is starting up"
)
# The initramfs is left: what failed in it did not matter.
ROOT_LEFT = re.compile(r"[Ss]witching root|Begin: Running /scripts/init-bottom")

MOUNT = re.compile(r"mount - /")
ROOT_MOUNT = re.compile(r"sysroot\.mount|Initrd Root |initrd-root")
