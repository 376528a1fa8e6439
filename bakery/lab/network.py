"""The lab's network: a bridge with a tap for each node, in a network namespace of its own.

Nothing in it reaches outside: the namespace has no other interface. It is gone when the last
process in it has ended, bridge and taps with it (network_namespaces(7)).
"""

import functools
import os
from ipaddress import IPv4Interface

from bakery.host import tools
from bakery.host.errors import BakeryError, MissingTool, UsageError
from bakery.host.run import CommandFailed, run

BRIDGE = "lab"
# Locally administered: a bridge without an address of its own takes its ports' in turn.
BRIDGE_MAC = "52:54:00:77:00:01"
DEFAULT_ADDRESS = "192.168.77.1/24"
# Packets pass from the first second on, multicast ones too.
BRIDGE_OPTIONS = "stp_state 0 forward_delay 0 mcast_snooping 0"
# So that router advertisements have a source at once, without duplicate address detection.
LINK_LOCAL = "fe80::1/64"
USER_NAMESPACE = ("--user", "--map-root-user")
WIDEST_PREFIX = 8
SMALLEST_HOSTS = 16
NO_NAMESPACE_HINT = (
    "a lab needs user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0), or root with CAP_SYS_ADMIN"
)
NO_DEVICE_HINT = "sudo modprobe bridge tun; /dev/net/tun must be there and open to this user"


@functools.cache
def entrance() -> tuple[str, ...]:
    """The words that start a program in new namespaces in which a lab's network can be made.

    Root gets a network namespace; where that is forbidden, and for every other user, a user
    namespace is made around it. Tried, not assumed. Raises BakeryError that names what is needed.
    """
    for program in ("unshare", "ip"):
        if tools.find(program) is None:
            raise MissingTool(program, tools.install_hint([program]))
    reason = ""
    for user in ((), USER_NAMESPACE) if os.geteuid() == 0 else (USER_NAMESPACE,):
        words = ("unshare", *user, "--net", "--")
        try:
            run([*words, "true"], timeout=10)
        except CommandFailed as error:
            reason = reason or error.message
            continue
        _try_devices(words)
        return words
    raise BakeryError(f"no network namespace can be made: {reason}", NO_NAMESPACE_HINT)


def address(text: str) -> IPv4Interface:
    """The lab's address, such as 192.168.77.1/24; UsageError where it cannot be one."""
    try:
        found = IPv4Interface(text)
    except ValueError:
        raise UsageError(
            f"'{text}' is not an IPv4 address with the length of its network's prefix",
            f"for example {DEFAULT_ADDRESS}",
        ) from None
    network = found.network
    edges = (network.network_address, network.broadcast_address)
    if network.num_addresses < SMALLEST_HOSTS or network.prefixlen < WIDEST_PREFIX:
        raise UsageError(f"the network of {text} is too small or too large for a lab")
    if found.ip in edges or found.ip.is_loopback or found.ip.is_multicast:
        raise UsageError(f"{text} is not the address of a machine")
    return found


def tap(number: int) -> str:
    """The name of node `number`'s end of its cable."""
    return f"tap{number}"


def make(own: IPv4Interface, nodes: int) -> None:
    """Make the bridge with its address and `nodes` taps, in the namespace this process is in."""
    lines = [
        "link set lo up",
        f"link add name {BRIDGE} address {BRIDGE_MAC} type bridge {BRIDGE_OPTIONS}",
        f"address add {own} broadcast + dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]
    for number in range(1, nodes + 1):
        name = tap(number)
        lines += [
            f"tuntap add dev {name} mode tap user {os.geteuid()}",
            f"link set {name} master {BRIDGE} up",
        ]
    run(["ip", "-batch", "-"], stdin="\n".join(lines).encode() + b"\n", name="ip")
    # A machine may have been booted without IPv6; then there is nothing to advertise either.
    run(["ip", "address", "add", LINK_LOCAL, "dev", BRIDGE, "nodad"], check=False)


def _try_devices(words: tuple[str, ...]) -> None:
    """Make one bridge and one tap in namespaces that are gone at once."""
    lines = b"link add name probe0 type bridge\ntuntap add dev probe1 mode tap\n"
    try:
        run([*words, "ip", "-batch", "-"], stdin=lines, timeout=10, name="ip")
    except CommandFailed as error:
        raise BakeryError(
            f"no bridge or tap can be made here: {error.tail or error.message}", NO_DEVICE_HINT
        ) from None
