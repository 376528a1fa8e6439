"""The sequence of a deployment, as the node sees it.

Drivers, network, disk, target, token, `pass_deploy_info`, the notice on port 10000; then the
ramdisk's /init reboots. The exit code tells /init what to do.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import NoReturn

from . import bootloader, choose, disks, drivers, kernel_args, network, plan, target
from .conductor import Conductor
from .console import say
from .disk import BlockDevice
from .disks import Disk
from .errors import AgentError
from .kernel_args import Settings
from .notice import Notice
from .pull import pull
from .teller import Teller

REBOOT, WAIT, SHELL = 0, 1, 2  # exit codes; /init knows them
CMDLINE = "/proc/cmdline"
CMDLINE_LIMIT = 65536
DISK_SECONDS = 60.0  # for a disk to appear
SETTLE_SECONDS = 1.0  # without another one, before all of them are there
POLL_SECONDS = 0.1


def main() -> NoReturn:
    """Run the agent; the exit code is REBOOT, WAIT or SHELL."""
    with open(CMDLINE, encoding="utf-8", errors="replace") as file:
        settings = kernel_args.parse(file.read(CMDLINE_LIMIT))
    try:
        deploy(settings)
    except AgentError as error:
        say(f"ERROR: {error}")
        raise SystemExit(SHELL if settings.troubleshoot else WAIT) from None
    say("rebooting")
    raise SystemExit(REBOOT)


def deploy(settings: Settings) -> None:
    """One deployment, to the conductor's notice; AgentError when it ends otherwise."""
    say("loading drivers")
    drivers.load()
    net = network.bring_up(settings)
    conductor = Conductor(settings, net)
    if settings.plan_key:
        write_it(settings, conductor, net.interface)
    else:
        have_it_written(settings, conductor)


def write_it(settings: Settings, conductor: Conductor, interface: str) -> None:
    """Direct: the node fetches what goes on its disk, and writes it."""
    with contextlib.ExitStack() as held:
        with reported(conductor):
            disk = choose_disk(settings)
            notice = held.enter_context(Notice())
            order = plan.read(conductor.plan(disk.size), bytes.fromhex(settings.plan_key))
            with BlockDevice(disk.device) as device, Teller(conductor.progress) as teller:
                pull(device, order, teller.tell, interface)
        conductor.written()
        say(f"{disk.device} is written; waiting on port {notice.port}")
        say(f"notice: {notice.wait() or 'no word'}")


def have_it_written(settings: Settings, conductor: Conductor) -> None:
    """iSCSI: the conductor writes the disk that the node exports."""
    with contextlib.ExitStack() as held:
        with reported(conductor):
            disk = choose_disk(settings)
            held.enter_context(target.exported(disk.device, settings.iqn))
            notice = held.enter_context(Notice())
        conductor.disk_is_ready()
        say(f"{disk.device} is exported as {settings.iqn}; waiting on port {notice.port}")
        say(f"notice: {notice.wait() or 'no word'}")
    if settings.boot_option == "local" and not bootloader.is_there(disk.device):
        reason = f"{disk.device} has no boot loader; this ramdisk carries none to install"
        conductor.boot_loader_failed(reason)
        raise AgentError(reason)


@contextlib.contextmanager
def reported(conductor: Conductor) -> Iterator[None]:
    """What fails in the block is told to the conductor."""
    try:
        yield
    except AgentError as error:
        conductor.failed(str(error))
        raise


def choose_disk(settings: Settings) -> Disk:
    """The disk to export; AgentError where the arguments are wrong or none or several fit."""
    kernel_args.check(settings)
    disk = choose.choose(wait_for_disks(), settings.root_device, settings.disk)
    say(f"disk: {disk}")
    return disk


def wait_for_disks(
    sys: str = "/sys", patience: float = DISK_SECONDS, settle: float = SETTLE_SECONDS
) -> list[Disk]:
    """All disks of the node: some adapters take seconds to find theirs, one after the other.

    Empty when `patience` seconds have brought none; `settle` seconds without a change end it.
    """
    started = changed = time.monotonic()
    found = disks.find(sys)
    while True:
        now = time.monotonic()
        if now - (changed if found else started) >= (settle if found else patience):
            return found
        time.sleep(POLL_SECONDS)
        again = disks.find(sys)
        if again != found:
            found, changed = again, time.monotonic()
