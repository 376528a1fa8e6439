"""An Ironic of one's own: API and conductor, its HTTP server, and dnsmasq on a lab.

It asks the Keystone and the Glance of `Services`. On loopback it drives fake hardware and BMCs; on
a lab's bridge (tests/services/developer.py, `--on`) real nodes meet it: addresses by dnsmasq, boot
files by nginx, as an administrator sets them up (Ironic, "Standalone"; dnsmasq(8)).
"""

import contextlib
import http.client
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from pathlib import Path
from urllib.parse import urlsplit

from bakery.host import run
from tests import nginx
from tests.conductor.targets import free_port
from tests.services import mariadb, settings, venvs
from tests.services.wsgi import LAUNCHER, Wsgi

START_TIMEOUT_SECONDS = 120
POLL_SECONDS = 0.1
FIRST_LEASE, LAST_LEASE = 100, 199
REGISTERED = b"Created RPC server"  # the last that a conductor says before it serves
LOOPBACK = IPv4Interface("127.0.0.1/8")


@dataclass(frozen=True)
class Place:
    """Where nodes meet it: its address there, and the interface that dnsmasq serves.

    API and conductor are one process on sqlite, or with `workers` a conductor and so many processes
    of the API on a MariaDB, as a fleet has it.
    """

    address: IPv4Interface = LOOPBACK
    interface: str = ""
    workers: int = 0


class Ironic:
    """Ironic with its state in `folder`; with `image_folder`, file:// URLs may lead there."""

    def __init__(self, folder: Path, place: Place, image_folder: Path) -> None:
        self.folder = folder
        self.place = place
        self.image_folder = image_folder
        self.url = ""
        self._running = contextlib.ExitStack()

    @property
    def http_root(self) -> Path:
        """What nodes can fetch."""
        return self.folder / "http"

    @property
    def log(self) -> Path:
        """What it said."""
        return self.folder / "ironic.log"

    def start(self, auth_url: str) -> None:
        """Start it; returns when the API answers and a conductor is registered."""
        for name in ("http", "tftp", "hosts", "options", "locks", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        address = str(self.place.address.ip)
        self.url = self.url or f"http://{address}:{free_port()}"
        files = nginx.serving(self.http_root, self.folder / "nginx", address)
        http_url = self._running.enter_context(files)
        if self.place.interface:
            self._spawn(self._dnsmasq(), self.folder / "dnsmasq.log")
        conf = self.folder / "ironic.conf"
        where = settings.IronicPlace(address, self.url, http_url, auth_url, self.image_folder)
        if self.place.workers:
            where = self._of_a_fleet(where)
        conf.write_text(settings.text(settings.ironic(self.folder, where)))
        configured = ("--config-file", conf)
        programs = venvs.venv("ironic") / "bin"
        if not (self.folder / "ironic.sqlite").exists():
            create: list[run.Arg] = [programs / "ironic-dbsync", *configured, "create_schema"]
            run.run(create, timeout=START_TIMEOUT_SECONDS)
        module = "ironic.command." + ("conductor" if self.place.workers else "singleprocess")
        service: list[run.Arg] = [programs / "python", LAUNCHER, *configured]
        process = self._spawn(service, self.log, SERVICE_MODULE=module)
        if self.place.workers:
            self._wait(process, lambda: REGISTERED in self.log.read_bytes())
            self._serve_api(conf)
        else:
            self._wait(process, lambda: _answers(self.url))

    def _serve_api(self, conf: Path) -> None:
        """By uWSGI: of the workers of `ironic-api` 39 the first takes the port, the others fail."""
        api = Wsgi(
            venvs.venv("ironic"),
            "ironic.wsgi.api",
            self.folder / "ironic-api.log",
            {},
            arguments=f"--config-file {conf}",
            processes=self.place.workers,
        )
        api.url = self.url
        self._running.callback(api.stop)
        api.start(lambda _url: None)

    def _of_a_fleet(self, where: settings.IronicPlace) -> settings.IronicPlace:
        database = self._running.enter_context(mariadb.serving(self.folder / "mariadb"))
        return replace(where, database=database, rpc_port=free_port())

    def _wait(self, process: run.Process, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Ironic does not answer: {run.tail(self.log.read_bytes())}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it, and what serves its nodes."""
        self._running.close()

    def _spawn(self, argv: list[run.Arg], log: Path, **extra: str) -> run.Process:
        output = self._running.enter_context(log.open("ab"))
        # the programs of conductors and agents: ipmitool, qemu-img, those of their own packages
        env = {"PATH": f"{venvs.venv('ironic') / 'bin'}:{os.environ['PATH']}"} | extra
        started = run.spawn(argv, stdout=output, stderr=output, env=env, whole=True)
        return self._running.enter_context(started)

    def _dnsmasq(self) -> list[run.Arg]:
        """Ironic writes a file per port and per node; dnsmasq follows them by inotify."""
        network = self.place.address.network
        first, last = network[FIRST_LEASE], network[LAST_LEASE]
        return [
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
            *("--user=root", "--group=root", "--pid-file=", "--log-facility=-", "--log-dhcp"),
            *("--bind-interfaces", f"--interface={self.place.interface}"),
            f"--dhcp-range={first},{last},{network.netmask},10m",
            f"--dhcp-leasefile={self.folder / 'leases'}",
            *(f"--dhcp-hostsdir={self.folder / 'hosts'}", "--dhcp-ignore=tag:!known"),
            *(f"--dhcp-optsdir={self.folder / 'options'}", "--dhcp-match=set:ipxe,175"),
        ]


def _answers(url: str) -> bool:
    """Whether the API is there; it listens before its conductor has registered."""
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=START_TIMEOUT_SECONDS)
    try:
        link.request("GET", "/")
        return link.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        link.close()
