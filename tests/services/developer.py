"""`scripts/openstack up|down|status`: a Keystone, a Glance and an Ironic to work with by hand.

    scripts/openstack up [--ironic loopback | --ironic 192.168.77.1/24@lab]

They stay until `down`, keep their state in `.services/` of the checkout, and a later `up` goes on
with it. What a shell needs to reach them is printed as one line for `eval`.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from ipaddress import IPv4Interface
from pathlib import Path
from typing import IO

from bakery.host import run
from bakery.host.errors import BakeryError
from tests.processes import has_ended
from tests.services import venvs
from tests.services.ironic import Place
from tests.services.openstack import ADMIN, MEMBER, Services

FOLDER = Path(__file__).resolve().parents[2] / ".services"
PROJECT = "demo"
LOOPBACK = "loopback"
START_TIMEOUT_SECONDS = 2400  # the first start fetches and installs the services
POLL_SECONDS = 0.1


def up(folder: Path, place: str) -> None:
    """Start them, unless they run; print how to reach them."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _running(folder):
        _say("starting the services (the first time installs them, which takes some minutes)")
        _start(folder, place)
    status(folder)


def down(folder: Path, _: str) -> None:
    """Stop them; what they hold stays."""
    state = _running(folder)
    if not state:
        _say("nothing runs")
        return
    os.kill(int(state["pid"]), signal.SIGTERM)
    if not has_ended(int(state["pid"])):
        sys.exit(f"openstack: process {state['pid']} does not end")
    _say(f"stopped; to forget the images too: rm -r {shlex.quote(str(folder))}")


def status(folder: Path, _: str = "") -> None:
    """Say whether they run, and print how to reach them."""
    state = _running(folder)
    if not state:
        sys.exit("openstack: not running; start it with: scripts/openstack up")
    _say(f"Keystone {state['auth_url']}, Glance {state['image_url']}, logs in {folder}")
    print(state["export"])


def stay(folder: Path, place: str) -> None:
    """Be the process that runs them, until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with _record(folder).open("a+") as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another `up` is at it
        record.truncate(0)
        with Services(folder, ironic=_place(place)) as services:
            _write(record, services)
            while True:
                signal.pause()


def _write(record: IO[str], services: Services) -> None:
    project = services.project(PROJECT)
    cloud = ADMIN if services.ironic else MEMBER  # a member may not enroll nodes
    reach = {"OS_CLIENT_CONFIG_FILE": str(project.clouds_yaml), "OS_CLOUD": cloud}
    words = [f"{name}={shlex.quote(value)}" for name, value in reach.items()]
    # at the end of PATH, for who has no client of his own
    words.append(f'PATH="$PATH:{venvs.venv("client") / "bin"}"')
    state = {
        "pid": os.getpid(),
        "auth_url": services.auth_url,
        "image_url": services.image_url,
        "export": " ".join(["export", *words]),
    }
    record.write(json.dumps(state))
    record.flush()


def _place(text: str) -> Place | None:
    """`loopback`, or an address and an interface, `192.168.77.1/24@lab`; None for no Ironic."""
    if not text or text == LOOPBACK:
        return Place() if text else None
    address, _, interface = text.partition("@")
    return Place(IPv4Interface(address), interface)


def _start(folder: Path, place: str) -> None:
    log = folder / "services.log"
    argv = [sys.executable, "-m", __spec__.name, "stay", "--folder", str(folder), "--ironic", place]
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=FOLDER.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _running(folder):
        if process.poll() is not None and not _held(folder):
            sys.exit(f"openstack: it did not start: {run.tail(log.read_bytes())}")
        if time.monotonic() > deadline:
            sys.exit(f"openstack: it did not start in time; see {log}")
        time.sleep(POLL_SECONDS)


def _record(folder: Path) -> Path:
    return folder / "running"


def _held(folder: Path) -> bool:
    """Whether a process runs the services of this folder, or is about to."""
    try:
        with _record(folder).open() as record:
            fcntl.flock(record, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _running(folder: Path) -> dict[str, str | int] | None:
    """What the process that runs them wrote about itself, once they answer."""
    if not _held(folder):
        return None
    with contextlib.suppress(ValueError):
        state: dict[str, str | int] = json.loads(_record(folder).read_text())
        return state
    return None


def _say(text: str) -> None:
    print(f"openstack: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run one of the commands."""
    commands = {"up": up, "down": down, "status": status, "stay": stay}
    parser = argparse.ArgumentParser(prog="scripts/openstack", description=__doc__)
    parser.add_argument("command", choices=commands, metavar="up|down|status")
    parser.add_argument("--ironic", default="", metavar="PLACE", help="where nodes meet an Ironic")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the state is kept")
    options = parser.parse_args()
    try:
        commands[options.command](options.folder.resolve(), options.ironic)
    except BakeryError as error:
        sys.exit(f"openstack: {error}")


if __name__ == "__main__":
    main()
