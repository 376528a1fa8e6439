"""Others on the wire: a site's own DHCP server, dnsmasq, and a client that sends bytes."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import Packet
from tests.conftest import REPOSITORY
from tests.netboot.wire import Place

NETWORK = "192.168.88"
ADDRESS, FIRST = f"{NETWORK}.2", f"{NETWORK}.200"


@contextlib.contextmanager
def dnsmasq(
    place: Place, lines: Path | None = None, *, ping: bool = False, network: str = NETWORK
) -> Iterator[None]:
    """It gives everybody an address of `network`, a /24, and says what is in `lines`.

    With `ping` it looks first whether an address is free, as it does where it is not told.
    """
    place.run("ip", "address", "add", f"{network}.2/24", "broadcast", "+", "dev", "eth0")
    words = ["dnsmasq", "--keep-in-foreground", "--port=0", "--user=root"]
    words += ["--interface=eth0", "--bind-interfaces", "--pid-file", "--leasefile-ro"]
    words += [f"--dhcp-range={network}.200,{network}.210", "--log-facility=-"]
    words += [] if ping else ["--no-ping"]
    words += [f"--conf-file={lines or '/dev/null'}"]
    with subprocess.Popen([*place.words, *words], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr
            assert any(b"IP range" in line for line in process.stderr)
            yield
        finally:
            process.kill()


def exchange(
    client: Place,
    *messages: Packet | bytes,
    to: str = "255.255.255.255:67",
    seconds: float = 1.0,
) -> list[Packet]:
    """Send all, and read what comes back until it has been silent for so long."""
    data = [each if isinstance(each, bytes) else wire.encode(each) for each in messages]
    words = ("-m", "tests.netboot.dhcp_ask", str(seconds), to, *(each.hex() for each in data))
    done = client.run("env", f"--chdir={REPOSITORY}", sys.executable, *words)
    return [wire.parse(bytes.fromhex(line)) for line in done.stdout.split()]
