"""A node for the agent's tests: QEMU with a network of its own, that only this machine can reach.

QEMU's user network gives the node DHCP and TFTP at 10.0.2.2, leads from there to 127.0.0.1 of
this machine, and forwards two ports to the node.
"""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakery.vm.board import TCG_CPU

NODE_ID = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
IQN = f"iqn-{NODE_ID}"
KEY = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
TOKEN = "a-token-of-Keystone"
MAC = "52:54:00:00:00:01"
ADDRESS, SERVER = "10.0.2.15", "10.0.2.2"
CONSOLE_SECONDS = 180


class Node:
    """A running node: its console, and the ports that lead to it."""

    def __init__(self, process: subprocess.Popen[bytes], iscsi: int, notice: int) -> None:
        self.process = process
        self.iscsi, self.notice = iscsi, notice
        self._text = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        """Wait until the console has said it."""
        with self._news:
            assert self._news.wait_for(lambda: text in self._text, CONSOLE_SECONDS), self._text

    @property
    def console(self) -> str:
        with self._news:
            return self._text

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def ended(self) -> int:
        """The exit code; a node that reboots ends QEMU with 0 (`-no-reboot`)."""
        code = self.process.wait(CONSOLE_SECONDS)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        while piece := self.process.stdout.read1(4096):  # type: ignore[attr-defined]
            with self._news:
                self._text += piece.decode("utf-8", "replace").replace("\r", "")
                self._news.notify_all()


@contextlib.contextmanager
def node(
    ramdisk: Path, folder: Path, arguments: str, disks: Sequence[str], nic: str = "virtio-net-pci"
) -> Iterator[Node]:
    """Boot a node with these kernel arguments; `disks` are QEMU's -device words, `{n}` the drive.

    Disk N is the file `disk-N` in `folder`, which is there; `folder/tftp` is what TFTP gives.
    """
    iscsi, notice = free_ports(2)
    forward = f"hostfwd=tcp:127.0.0.1:{iscsi}-:3260,hostfwd=tcp:127.0.0.1:{notice}-:10000"
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
    argv += ["-machine", "q35,accel=tcg", "-cpu", TCG_CPU, "-smp", "1", "-m", "512"]
    argv += ["-no-reboot", "-serial", "stdio"]
    argv += ["-kernel", str(ramdisk / "deploy-kernel"), "-initrd", str(ramdisk / "deploy-ramdisk")]
    argv += ["-append", f"console=ttyS0 quiet {arguments}"]
    argv += ["-netdev", f"user,id=net,restrict=off,tftp={folder}/tftp,{forward}"]
    argv += ["-device", f"{nic},netdev=net,mac={MAC},romfile="]
    for number, device in enumerate(disks):
        file = f"{folder}/disk-{number}"
        argv += ["-drive", f"if=none,id=d{number},format=raw,discard=unmap,file={file}"]
        for words in device.format(n=f"d{number}").split(" -device "):
            argv += ["-device", words]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    running = Node(process, iscsi, notice)
    try:
        yield running
    finally:
        process.kill()
        running.ended()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        return [listener.getsockname()[1] for listener in listeners[:count]]
