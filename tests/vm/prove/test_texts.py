"""The texts are those that real programs print: each runs on a terminal of its own here."""

import os
import pty
import select
import signal
import time
from pathlib import Path

from bakery.host import tools
from bakery.host.run import run
from bakery.vm.console import Lines
from bakery.vm.prove.signs import Signs
from tests.vm.prove.clock import Clock

CONSOLES = Path(__file__).with_name("consoles")
MOST_SECONDS = 30.0


def said(argv: list[str], *until: bytes) -> bytes:
    """What a program prints on a terminal until it asks, which it does by one of `until`."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(str(tools.find(argv[0])), argv)
    heard, deadline = b"", time.monotonic() + MOST_SECONDS
    try:
        while (
            not any(word in heard for word in until) and (left := deadline - time.monotonic()) > 0
        ):
            if select.select([terminal], [], [], left)[0]:
                heard += os.read(terminal, 4096)
    except OSError:
        pass  # a terminal whose last process is gone
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    assert any(word in heard for word in until)
    return heard


def judged(console: bytes):
    """How a boot that said this, and then nothing, ends; and whether it did so by its words."""
    clock, lines = Clock(), Lines()
    signs = Signs(patience_seconds=50, silence_seconds=1000, clock=clock)
    for line in lines.feed(console):
        if found := signs.line(line):
            return found, clock.seconds
    while clock.seconds < 60:
        if found := signs.prompt(lines.partial):
            return found, clock.seconds
        clock.seconds += 1
    return None, clock.seconds


def test_systemds_first_boot_asks_for_settings(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=tiny\nPRETTY_NAME="Tiny Linux 1"\n')
    argv = ["systemd-firstboot", f"--root={tmp_path}", "--prompt"]
    found, _ = judged(said(argv, b"proceed --"))
    assert (found.outcome, found.words) == ("first-boot", "-- Press any key to proceed --")


def test_systemd_asks_for_the_passphrase_of_a_disk():
    question = "Please enter passphrase for disk QEMU_HARDDISK (luks-1234):"
    found, seconds = judged(said(["systemd-ask-password", question], b"echo)"))
    assert found.outcome == "passphrase"
    assert found.words.startswith(question)
    assert seconds == 50, "a program may answer, such as one that asks the TPM"


def test_cryptsetup_asks_for_the_passphrase_of_a_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, 20 << 20)
    quick = ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000"]
    run(["cryptsetup", "luksFormat", "--batch-mode", *quick, disk, "-"], stdin=b"secret")
    argv = ["cryptsetup", "open", "--test-passphrase", str(disk)]
    found, _ = judged(said(argv, b": "))
    assert (found.outcome, found.words) == ("passphrase", f"Enter passphrase for {disk}:")


def test_busybox_without_a_terminal_of_its_own_is_a_shell_for_a_person():
    argv = ["setsid", "--wait", "busybox", "ash", "-i"]
    found, seconds = judged(said(argv, b"turned off"))
    assert (found.outcome, seconds) == ("emergency", 0)


def test_sulogin_asks_for_the_root_password_or_says_that_there_is_none():
    found, seconds = judged(said(["sulogin"], b"locked.", b"maintenance") + b"\r\n")
    assert (found.outcome, seconds) == ("emergency", 0)


def test_debians_initramfs_that_gave_up_two_disks_is_told_by_the_roots():
    """Booted with `root=` and `resume=` of disks that there are not."""
    console = (CONSOLES / "initramfs-tools.log").read_bytes()
    assert b"Gave up waiting for suspend/resume device" in console
    found, _ = judged(console)
    assert (found.outcome, found.words) == (
        "no-root",
        "UUID=11112222-3333-4444-5555-666677778888 does not exist",
    )
    before, *_ = console.partition(b"Gave up waiting for root file system")
    assert judged(before) == (None, 60), "to give up the disk to resume from is no failure"
