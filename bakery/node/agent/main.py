"""The sequence of a deployment, as the node sees it.

Drivers, network, disk, target, token, `pass_deploy_info`, the notice on port 10000; then the
ramdisk's /init reboots. The exit code tells /init what to do.
"""

import contextlib
from collections.abc import Iterator
from typing import NoReturn

from . import (
    bootloader,
    choose,
    drivers,
    exchange,
    kernel_args,
    machine,
    network,
    proof,
    signed_list,
    target,
)
from .conductor import Conductor
from .console import say
from .disk import BlockDevice
from .disks import Arrivals, Disk
from .errors import AgentError
from .kernel_args import Settings
from .notice import Notice
from .pull import pull
from .reporter import Teller

REBOOT, WAIT, SHELL = 0, 1, 2  # exit codes; /init knows them


def main() -> NoReturn:
    """Run the agent; the exit code is REBOOT, WAIT or SHELL."""
    settings = kernel_args.given()
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
    arrivals = Arrivals()
    net = network.bring_up(settings)
    conductor = Conductor(settings, net)
    if settings.plan_key:
        write_it(settings, conductor, arrivals, net.interface)
    else:
        have_it_written(settings, conductor, arrivals)


def write_it(settings: Settings, conductor: Conductor, arrivals: Arrivals, interface: str) -> None:
    """Direct: the node fetches what goes on its disk, and writes it."""
    with contextlib.ExitStack() as held:
        with reported(conductor):
            disk = choose_disk(settings, arrivals)
            notice = held.enter_context(listening(settings, conductor))
            own = exchange.Exchange()
            answer = conductor.write_list(machine.told(disk), own.public)
            content = own.decrypted(answer, settings.deployment_key)
            here = signed_list.Here(
                settings.deployment_id, disk.size, encrypted_to=own.public.hex()
            )
            write_list = signed_list.read(content, bytes.fromhex(settings.plan_key), here)
            with BlockDevice(disk.device) as device, Teller(conductor.progress) as teller:
                pull(device, write_list, teller.tell, interface, token=conductor.token())
        conductor.written()
        say(f"{disk.device} is written; waiting on port {notice.port}")
        notice.wait()
        say("notice: done")


def have_it_written(settings: Settings, conductor: Conductor, arrivals: Arrivals) -> None:
    """iSCSI: the conductor writes the disk that the node exports."""
    with contextlib.ExitStack() as held:
        with reported(conductor):
            disk = choose_disk(settings, arrivals)
            access = access_for(settings, conductor)
            held.enter_context(target.exported(disk.device, settings.iqn, access))
            notice = held.enter_context(listening(settings, conductor))
        conductor.disk_is_ready(machine.told(disk), chap=access is not None)
        say(f"{disk.device} is exported as {settings.iqn}; waiting on port {notice.port}")
        notice.wait()
        say("notice: done")
    if settings.boot_option == "local" and not bootloader.is_there(disk.device):
        reason = f"{disk.device} has no boot loader; this ramdisk has none to install"
        conductor.boot_loader_failed(reason)
        raise AgentError(reason)


def access_for(settings: Settings, conductor: Conductor) -> target.Access | None:
    """Who may write the disk; None on a wire that is trusted."""
    if settings.trusts_wire:
        return None
    chap = proof.chap(settings.deployment_key)
    return target.Access(conductor.address or target.EVERYBODY, chap)


def listening(settings: Settings, conductor: Conductor) -> Notice:
    """The port where the conductor says that the node can go on."""
    if settings.trusts_wire:
        return Notice(None)
    return Notice(proof.word(settings.deployment_key), conductor.address)


@contextlib.contextmanager
def reported(conductor: Conductor) -> Iterator[None]:
    """What fails in the block is told to the conductor."""
    try:
        yield
    except AgentError as error:
        conductor.failed(str(error))
        raise


def choose_disk(settings: Settings, arrivals: Arrivals) -> Disk:
    """The disk to export; AgentError where the arguments are wrong or none or several fit."""
    kernel_args.check(settings)
    asked = (settings.root_device, settings.disk, settings.least_bytes)
    found = arrivals.wait(choose.looked_for(*asked))
    disk = choose.choose(found, *asked)
    choose.check_sectors(disk, settings.sector_bytes)
    paths = choose.paths(disk, found)
    say(f"disk: {disk}" + (f", reached as {', '.join(paths)}" if len(paths) > 1 else ""))
    return disk
