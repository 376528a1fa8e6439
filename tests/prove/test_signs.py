import pytest

from bakery.prove.signs import Signs

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


def read(text: str):
    signs = Signs()
    endings = [signs.line(line) for line in text.splitlines()]
    return next((ending for ending in endings if ending), None)


@pytest.mark.parametrize(
    ("text", "outcome", "words"),
    [
        (DRACUT_WAITS, "no-root", "/dev/mapper/nosuch-root does not exist"),
        (DRACUT_SHELL, "no-root", "/dev/mapper/nosuch-root does not exist"),
        (BUSYBOX_SHELL, "no-root", "Gave up waiting for root file system device"),
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
        ("atomic login: [   50.1] random: crng init done", "login", "atomic login:"),
    ],
)
def test_an_end_is_named_with_the_systems_own_words(text, outcome, words):
    ending = read(text)
    assert ending is not None
    assert ending.outcome == outcome
    assert words is None or ending.words == words


def test_ordinary_lines_of_a_boot_end_nothing():
    assert read(NOT_AN_END) is None


@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [
        ("atomic login: ", "login"),
        ("Give root password for maintenance", "emergency"),
        ("Press Enter for maintenance", "emergency"),
        ("(initramfs) ", "emergency"),
        ("dracut:/# ", "emergency"),
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
