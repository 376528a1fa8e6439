"""The machine that devstack is to run on."""

from pathlib import Path

import msgspec

from bakery.host.errors import BakeryError

MIB, GIB = 1 << 20, 1 << 30

# A machine of 16 GB served three small nodes in Juno's days, and was "a bit tight".
COMFORTABLE_BYTES = 16 * GIB
# What devstack's own services are left with before it is told that this is little.
SERVICES_BYTES = 8 * GIB
# A machine sold with 16 GB shows somewhat less: firmware and kernel keep a part.
_KEPT_BY_KERNEL = 0.94


class Host(msgspec.Struct, frozen=True):
    """Memory in bytes."""

    memory_bytes: int

    @property
    def is_comfortable(self) -> bool:
        """Whether it has the 16 GB that devstack with nodes wants."""
        return self.memory_bytes >= COMFORTABLE_BYTES * _KEPT_BY_KERNEL


def this(meminfo: Path = Path("/proc/meminfo")) -> Host:
    """This machine (proc(5): MemTotal, in KiB)."""
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemTotal:"):
                return Host(int(line.split()[1]) * 1024)
    except (OSError, ValueError, IndexError) as error:
        raise BakeryError(
            f"{meminfo} cannot be read: {error}", "give it with --memory GIB"
        ) from error
    raise BakeryError(f"{meminfo} does not state the memory", "give it with --memory GIB")


def memory_faults(host: Host, nodes: int, node_mib: int) -> list[tuple[str, str]]:
    """What is wrong with so many nodes of so much memory on the machine: (level, words)."""
    wanted = nodes * node_mib * MIB
    told = f"{nodes} nodes of {node_mib} MiB need {_gib(wanted)}"
    if nodes == 1:
        told = f"1 node of {node_mib} MiB needs {_gib(wanted)}"
    has = f"the machine has {_gib(host.memory_bytes)}"
    if wanted > host.memory_bytes:
        return [("error", f"{told}, and {has}")]
    if host.memory_bytes - wanted < SERVICES_BYTES:
        left = _gib(host.memory_bytes - wanted)
        return [("warning", f"{told}, and {has}: {left} remain for devstack's services")]
    if not host.is_comfortable:
        return [("warning", f"{has}; even 16 GiB is tight for devstack with Ironic's nodes")]
    return []


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
