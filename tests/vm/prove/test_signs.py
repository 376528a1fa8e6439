import pytest

from bakery.vm.console import Lines
from bakery.vm.prove.signs import Ending, Signs
from tests.vm.prove.clock import Clock

DRACUT_WAITS = """
[  506.7] dracut-initqueue[241]: Warning: dracut-initqueue: timeout, still waiting for hooks:
[  506.8] dracut-initqueue[241]: Warning: /lib/dracut/hooks/initqueue/finished/devexists.sh: "if
[  506.8] dracut-initqueue[241]:     [ -e "/dev/mapper/nosuch-root" ]
[  506.8] dracut-initqueue[241]: fi"
[  506.9] dracut-initqueue[241]: Warning: dracut-initqueue: starting timeout scripts
"""
DRACUT_SHELL = """
Warning: Could not boot.
Warning: /dev/mapper/nosuch-root does not exist
Generating "/run/initramfs/rdsosreport.txt"
Entering emergency mode. Exit the shell to continue.
"""
BUSYBOX_SHELL = """
Begin: Waiting for root file system ... done.
Gave up waiting for root file system device.  Common problems:
ALERT!  UUID=1234 does not exist.  Dropping to a shell!
"""
BOOT_LEFT_IN_FSTAB = """
[ TIME ] Timed out waiting for device \u20265eed1-43ef-470d-a970-49fd6c792273.
[DEPEND] Dependency failed for syst\u20265eed1-43ef-470d-a970-49fd6c792273.
[DEPEND] Dependency failed for boot.mount - /boot.
[DEPEND] Dependency failed for loca\u2026s.target - Local File Systems.
You are in emergency mode. After logging in, type "journalctl -xb" to view
"""
PANIC = """
VFS: Cannot open root device "mapper/atomicos-root" or unknown-block(0,0): error -6
Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
"""
NOT_AN_END = """
[   12.345678] systemd[1]: Starting systemd-logind.service - User Login Management...
Last login: Fri Nov 20 10:00:00 on ttyS0
         Starting emergency.service - Emergency Shell...
[  OK  ] Reached target getty.target - Login Prompts.
"""


ALPINE = """
Mounting boot media:\x20
Mounting root:\x20
mount: mounting UUID=1111 on /sysroot failed: No such file or directory
failed.\x20
initramfs emergency recovery shell launched. Type 'exit' to continue boot
"""
ARCH = """
:: running early hook [udev]
Waiting 10 seconds for device /dev/disk/by-uuid/1111 ...
ERROR: device 'UUID=1111' not found. Skipping fsck.
:: mounting 'UUID=1111' on real root
mount: /new_root: can't find UUID=1111.
ERROR: Failed to mount 'UUID=1111' on real root
You are now being dropped into an emergency shell.
"""
NIXOS = """
waiting for device /dev/disk/by-label/nixos to appear......................
mounting /dev/disk/by-label/nixos on /...
mount: mounting /dev/disk/by-label/nixos on /mnt-root/ failed: No such file or directory
An error occurred in stage 1 of the boot process, which must mount the
"""
ROOT_IN_SYSTEMDS_INITRD = """
[ TIME ] Timed out waiting for device dev-disk-by\\x2duuid-1111.device.
[DEPEND] Dependency failed for sysroot.mount - /sysroot.
[DEPEND] Dependency failed for initrd-root-fs.target - Initrd Root File System.
You are in emergency mode. After logging in, type "journalctl -xb" to view
"""
RESUME_THAT_FAILED_IN_THE_INITRD = """
[ TIME ] Timed out waiting for device dev-disk-by\\x2duuid-9999.device.
[DEPEND] Dependency failed for systemd-hibernate-resume@dev-disk-by\\x2duuid-9999.service.
[  OK  ] Mounted sysroot.mount - /sysroot.
[    9.1] systemd[1]: Switching root.
"""
ROOT_THAT_CAME_LATE = """
         Starting dracut-initqueue.service - dracut initqueue hook...
[  130.1] dracut-initqueue[241]: Warning: dracut-initqueue: timeout, still waiting for hooks:
[  130.2] dracut-initqueue[241]:     [ -e "/dev/mapper/late-root" ]
[  130.3] dracut-initqueue[241]: Warning: dracut-initqueue: starting timeout scripts
[  OK  ] Found device dev-mapper-late\\x2droot.device - /dev/mapper/late-root.
[  OK  ] Reached target initrd-root\u2026e.target - Initrd Root Device.
"""


def read(text: str):
    """How the boot has ended when so much was said, and nothing more for a minute."""
    clock = Clock()
    signs = Signs(clock=clock)
    endings = [signs.line(line) for line in text.splitlines()]
    clock.seconds = 60
    return next((ending for ending in endings if ending), None) or signs.prompt("")


@pytest.mark.parametrize(
    ("text", "outcome", "words"),
    [
        (DRACUT_WAITS, "no-root", "/dev/mapper/nosuch-root does not exist"),
        (DRACUT_SHELL, "no-root", "/dev/mapper/nosuch-root does not exist"),
        (BUSYBOX_SHELL, "no-root", "UUID=1234 does not exist"),
        (ALPINE, "no-root", ALPINE.splitlines()[3]),
        (ARCH, "no-root", "UUID=1111 does not exist"),
        (NIXOS, "no-root", NIXOS.splitlines()[3]),
        (
            ROOT_IN_SYSTEMDS_INITRD,
            "no-root",
            (
                "Timed out waiting for device dev-disk-by\\x2duuid-1111.device; "
                "Dependency failed for sysroot.mount - /sysroot"
            ),
        ),
        (
            RESUME_THAT_FAILED_IN_THE_INITRD + BOOT_LEFT_IN_FSTAB,
            "emergency",
            (
                "Timed out waiting for device \u20265eed1-43ef-470d-a970-49fd6c792273; "
                "Dependency failed for boot.mount - /boot"
            ),
        ),
        (
            ROOT_THAT_CAME_LATE + "You are in emergency mode.",
            "emergency",
            "You are in emergency mode",
        ),
        (
            BOOT_LEFT_IN_FSTAB,
            "emergency",
            (
                "Timed out waiting for device \u20265eed1-43ef-470d-a970-49fd6c792273; "
                "Dependency failed for boot.mount - /boot"
            ),
        ),
        (
            PANIC,
            "panic",
            "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
        ),
        ("BdsDxe: No bootable option or device was found.", "no-boot", None),
        ("UEFI Interactive Shell v2.2", "no-boot", None),
        ("No bootable device.", "no-boot", None),
        ("error: no such partition.\ngrub rescue> ", "no-boot", "error: no such partition."),
        (
            "error: unknown filesystem.\nEntering rescue mode...",
            "no-boot",
            "error: unknown filesystem.",
        ),
        ("[   61.0] reboot: System halted", "stopped", "reboot: System halted"),
        ("atomic login: [   50.1] random: crng init done", "login", "atomic login:"),
    ],
)
def test_an_end_is_named_with_the_systems_own_words(text, outcome, words):
    ending = read(text)
    assert ending is not None
    assert ending.outcome == outcome
    assert words is None or ending.words == words


@pytest.mark.parametrize(
    "text", [NOT_AN_END, ROOT_THAT_CAME_LATE, RESUME_THAT_FAILED_IN_THE_INITRD]
)
def test_ordinary_lines_of_a_boot_end_nothing(text):
    assert read(text) is None


@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [
        ("atomic login: ", "login"),
        ("Give root password for maintenance", "emergency"),
        ("Press Enter for maintenance", "emergency"),
        ("(initramfs) ", "emergency"),
        ("dracut:/# ", "emergency"),
        ("[rootfs ~]# ", "emergency"),
        ("grub rescue> ", "no-boot"),
        ("grub> ", "no-boot"),
        ("Shell> ", "no-boot"),
    ],
)
def test_a_prompt_is_an_end_without_a_line_end(prompt, outcome):
    ending = Signs().prompt(prompt)
    assert ending is not None
    assert ending.outcome == outcome


def test_a_panic_is_told_once_its_line_is_whole():
    signs = Signs()
    assert signs.prompt("Kernel panic - not syncing: VF") is None
    assert signs.line("Kernel panic - not syncing: VFS: Unable to mount") is not None


def test_an_emergency_for_want_of_the_root_filesystem_is_named_so():
    signs = Signs()
    signs.line("Warning: /dev/mapper/nosuch-root does not exist")
    ending = signs.prompt("Press Enter for maintenance")
    assert ending is not None
    assert ending.outcome == "no-root"


def test_what_is_waited_for_is_the_cause_as_long_as_there_is_no_better_one():
    signs = Signs()
    signs.line(
        "[ ***] (2 of 2) Job dev-mapper-nosuch\\x2droot.device/start running (28s / no limit)"
    )
    assert "dev-mapper-nosuch" in signs.cause
    signs.line("Warning: /dev/mapper/nosuch-root does not exist")
    assert signs.cause == "/dev/mapper/nosuch-root does not exist"


def asked(question: str, *lines: str, patience: float = 50.0) -> Ending | None:
    """What becomes of a question behind which these lines come at once, and then nothing."""
    clock = Clock()
    signs = Signs(patience, 1000.0, clock)
    assert signs.prompt(question) is None, "whoever is asked may be a program that answers"
    assert not any(signs.line(line) for line in (question, *lines))
    clock.seconds = patience - 1
    assert signs.prompt("") is None
    clock.seconds = patience
    return signs.prompt("")


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        ("\U0001f510 Please enter passphrase for disk Virtio (root): (press TAB", "passphrase"),
        ("Please unlock disk vda3_crypt: ", "passphrase"),
        ("Enter passphrase for /dev/vda2: ", "passphrase"),
        ("Passphrase for /dev/disk/by-uuid/1111: ", "passphrase"),
        ("Enter passphrase for hd0,gpt2 (1111): ", "passphrase"),
        ("Please enter TPM2 PIN: ", "passphrase"),
        ("-- Press any key to proceed --", "first-boot"),
        ("\u2023 Please enter hostname for new system (empty to skip): ", "first-boot"),
        ("Please make your choice from above ['q' to quit | 'c' to continue |", "first-boot"),
        ("<  OK  >   < Cancel >", "asks"),
        ("boot: ", "asks"),
        ("Enter username: ", "asks"),
        ("Please press Enter to activate this console. ", "asks"),
        ("Use the ^ and v keys to select which entry is highlighted.", "asks"),
    ],
)  # fmt: skip
def test_a_question_to_a_person_is_a_verdict_of_its_own_once_nothing_follows(question, outcome):
    found = asked(question)
    assert found is not None
    assert (found.outcome, found.words in question) == (outcome, True)


def test_a_boot_that_goes_on_beside_a_question_puts_the_verdict_off():
    clock = Clock()
    signs = Signs(50.0, 1000.0, clock)
    signs.line("Please unlock disk vda3_crypt: ")
    clock.seconds = 49
    assert signs.line("[  OK  ] Reached target paths.target - Path Units.") is None
    clock.seconds = 98
    assert signs.line("[   98.0] random: crng init done") is None
    clock.seconds = 99
    assert signs.line("[   99.0] random: crng init done") is not None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Please unlock disk vda3_crypt: ", "cryptsetup: vda3_crypt: set up successfully"),
        (
            "Enter passphrase for disk a (luks-1):",
            "[  OK  ] Finished Cryptography Setup for luks-1.",
        ),
        (
            "-- Press any key to proceed --",
            "[  OK  ] Finished systemd-firstboot.service - First Boot.",
        ),
        ("Use the ^ and v keys to select an entry.", "  executed automatically in 5s."),
    ],
)
def test_a_question_that_was_answered_is_forgotten(question, answer):
    assert asked(question, answer) is None


def test_what_is_asked_is_pending_until_then():
    signs = Signs()
    signs.prompt("Please unlock disk vda3_crypt: ")
    assert signs.pending == Ending("passphrase", "Please unlock disk vda3_crypt:")


def test_a_wait_that_is_over_is_no_cause():
    signs = Signs()
    signs.line("[***] A start job is running for Wait for Network (7s / no limit)")
    assert "Wait for Network" in signs.cause
    signs.line("[  OK  ] Reached target network-online.target - Network is Online.")
    assert signs.cause == ""


def test_a_root_that_was_found_is_no_longer_sought_nor_a_cause():
    signs = Signs()
    for line in ROOT_THAT_CAME_LATE.splitlines()[:-2]:
        signs.line(line)
    assert (signs.seeking_root, signs.cause) == (True, "/dev/mapper/late-root does not exist")
    signs.line(ROOT_THAT_CAME_LATE.splitlines()[-1])
    assert (signs.seeking_root, signs.cause, signs.pending) == (False, "", None)


@pytest.mark.parametrize("prompt", [b"/ # ", b"root@tiny:/# ", b"Your choice [1-3]? ", b"Name: "])
def test_a_question_that_nobody_foresaw_is_known_by_the_silence_behind_it(prompt):
    clock, lines = Clock(), Lines()
    lines.feed(b"something starts\r\n" + prompt)
    signs = Signs(patience_seconds=50, silence_seconds=45, clock=clock)
    assert signs.prompt(lines.partial) is None
    clock.seconds = 44
    assert signs.prompt(lines.partial) is None
    clock.seconds = 45
    found = signs.prompt(lines.partial)
    assert found is not None
    assert (found.outcome, found.words) == ("asks", prompt.decode().strip())
