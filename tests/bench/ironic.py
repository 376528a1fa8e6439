"""One node deployed by a real Ironic and its agent, and by bakery: the same lab, the same image.

    .venv/bin/python -m tests.bench.ironic [--image FILE] [--raw] [--cpus 2] [--work FOLDER]

In turn, each time from a blank disk to the login of the image:

- Ironic's deploy interface `direct`, its agent writing a qcow2 (with --raw a raw image too);
- Ironic's `custom-agent` with bakery's deploy step in the same agent's ramdisk;
- bakery deploy --method direct.

Seconds are counted from the moment the node's machine is switched on; the write step is what
Ironic's own log says of it, and bytes are those the node's cable carried to it meanwhile.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bakery.disk.packed import packed_index
from bakery.lab import network, state
from bakery.manifest import manifest
from bakery.manifest.manifest import Build
from tests.bench.build import BAKERY, sample
from tests.bench.deploy import ratio, seconds
from tests.processes import started_with
from tests.services.lab_ironic import LabIronic

NODE = "node-1"
MEMORY_MIB = "3072"  # the agent, and the qcow2 in its tmpfs
LOGIN = re.compile(rb"\w login: ")
PATIENCE_SECONDS = 1500.0
POLL_SECONDS = 0.2
STEPS = {"direct": "write_image", "custom-agent": "write_packed_image"}
NEXT_STEP = "prepare_instance_boot"

Sign = Callable[[], object]


class Moment(NamedTuple):
    """Seconds, and bytes that the node's cable has carried to it."""

    seconds: float
    sent_bytes: int


class Rig:
    """A lab with one node."""

    def __init__(self, work: Path, cpus: int) -> None:
        self.folder = work / "lab"
        self.lab("up", "--memory", MEMORY_MIB, "--cpus", str(cpus))
        self.state = state.load(self.folder)
        self.node = self.state.nodes[0]

    def lab(self, *words: str) -> None:
        """`bakery lab …`."""
        argv: list[str | Path] = [BAKERY, "lab", *words, "--lab", self.folder, "-q"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)

    def moments(
        self, argv: Sequence[str | Path], env: Mapping[str, str], signs: Mapping[str, Sign]
    ) -> dict[str, Moment]:
        """Deploy to a blank disk by a command; when each sign, one after the other, was seen.

        Before them is `on`, when the node's machine runs, and after them `login`.
        """
        os.truncate(self.node.disk, 0)
        os.truncate(self.node.disk, self.node.disk_bytes)
        mark = Path(self.node.console).stat().st_size
        every: dict[str, Sign] = {"on": lambda: started_with(self.node.disk), **signs}
        every["login"] = lambda: LOGIN.search(_after(self.node.console, mark))
        seen = {}
        with subprocess.Popen(argv, env=os.environ | env, stdout=subprocess.DEVNULL) as process:
            for name, sign in every.items():
                deadline = time.monotonic() + PATIENCE_SECONDS
                while not sign():
                    if process.poll() or time.monotonic() > deadline:
                        raise RuntimeError(f"{name} was not reached")
                    time.sleep(POLL_SECONDS)
                seen[name] = Moment(time.monotonic(), self._sent_bytes())
        return seen

    def _sent_bytes(self) -> int:
        words = ["ip", "-stats", "-json", "link", "show", network.tap(1)]
        told = subprocess.run(self.state.enter(words), check=True, capture_output=True).stdout
        return int(json.loads(told)[0]["stats64"]["tx"]["bytes"])


def _after(path: str, mark: int) -> bytes:
    with Path(path).open("rb") as file:
        file.seek(mark)
        return file.read()


def by_ironic(
    rig: Rig, ironic: LabIronic, interface: str, *words: str, **info: object
) -> dict[str, Moment]:
    """A deploy by Ironic, through a deploy interface; `begun` and `ended` are its write step's."""
    ironic.interface(interface)
    ironic.set(**info)
    at, step = len(ironic.log), STEPS[interface]

    def logged(pattern: str) -> Sign:
        return lambda: re.search(pattern, ironic.log[at:])

    # The agent's steps are not said to be finished; the next one is executed then.
    signs = {
        "begun": logged(rf"Executing .*'step': '{step}'"),
        "ended": logged(rf"Executing .*'step': '{NEXT_STEP}'"),
    }
    seen = rig.moments(ironic.deploy_argv(*words), ironic.env, signs)
    ironic.undeploy()
    return seen


def by_bakery(rig: Rig, build: Path) -> dict[str, Moment]:
    """`bakery deploy --method direct`, conductor and all; by iPXE, as Ironic boots its nodes."""
    argv: list[str | Path] = [BAKERY, "deploy", NODE, "--image", build, "--lab", rig.folder]
    return rig.moments([*argv, "--method", "direct", "--bios", "ipxe", "-q"], {}, {})


def to_login(seen: dict[str, Moment]) -> float:
    """Seconds from power-on."""
    return seen["login"].seconds - seen["on"].seconds


def report_step(name: str, seen: dict[str, Moment]) -> None:
    """Prints what a deploy by Ironic took."""
    seconds(f"{name}: power-on → login", to_login(seen))
    seconds(f"{name}: the write step", written(seen).seconds)
    print(f"{name + ': bytes to the node in it':<40} {written(seen).sent_bytes:12d}", flush=True)


def written(seen: dict[str, Moment]) -> Moment:
    """What passed in the write step."""
    begun, ended = seen["begun"], seen["ended"]
    return Moment(ended.seconds - begun.seconds, ended.sent_bytes - begun.sent_bytes)


def contest(work: Path, image: Path, *, cpus: int, raw: bool) -> None:
    """Build, deploy by each, print."""
    build = work / "build"
    words = ("--layout", "disk", "--compress", "zstd", "-q")
    subprocess.run([BAKERY, "build", image, "-o", build, *words], check=True)
    made = manifest.load(build)
    frames = build / f"{made.manifest.name}-base.zst"
    index = packed_index.read(build / f"{made.manifest.name}-base.index")
    data = sum(frame.length for frame in index.chunks)
    rig = Rig(work, cpus)
    try:
        with LabIronic(rig.state, work / "services") as ironic:
            theirs = by_agent(rig, ironic, made, raw=raw)
            step = signed_step(build, ironic)
            shutil.copy(frames, ironic.http_root)
            ours = by_ironic(rig, ironic, "custom-agent", "--deploy-steps", step)
        report_step("Ironic custom-agent, bakery's step", ours)
        alone = by_bakery(rig, build)
    finally:
        rig.lab("down")
    seconds("bakery deploy: power-on → login", to_login(alone))
    ratio("bakery ÷ Ironic direct, to login", to_login(alone) / to_login(theirs), "  goal ≤ 0.35")
    ratio(
        "write step, bakery's ÷ IPA's",
        written(ours).seconds / written(theirs).seconds,
        "  goal ≤ 0.4",
    )
    ratio("bytes to the node ÷ packed data", written(ours).sent_bytes / data, "  goal ≤ 1.02")


def by_agent(rig: Rig, ironic: LabIronic, build: Build, *, raw: bool) -> dict[str, Moment]:
    """Deploys by the agent's own writing, printed; the one of the qcow2."""
    name = f"{build.manifest.name}.qcow2"
    convert = ("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2")
    subprocess.run([*convert, build.base, ironic.http_root / name], check=True)
    ironic.enroll(0)
    seen = by_ironic(rig, ironic, "direct", **whole_disk(ironic, name, "qcow2"))
    report_step("Ironic direct, qcow2", seen)
    if raw:
        name = build.base.name
        subprocess.run(["cp", "--sparse=always", build.base, ironic.http_root / name], check=True)
        info = whole_disk(ironic, name, "raw")
        report_step("Ironic direct, raw", by_ironic(rig, ironic, "direct", **info))
    return seen


def whole_disk(ironic: LabIronic, name: str, kind: str) -> dict[str, object]:
    """The instance_info of a whole disk that is served under that name."""
    with (ironic.http_root / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "image_source": f"{ironic.http_url}/{name}",
        "image_disk_format": kind,
        "image_os_hash_algo": "sha256",
        "image_os_hash_value": digest,
    }


def signed_step(build: Path, ironic: LabIronic) -> str:
    """The deploy step for a build, as JSON; its plan is served."""
    key = build / "signing.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    argv: list[str | Path] = [BAKERY, "sign", build, "--key", key, "--json"]
    told = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    shutil.copy(told["plan"], ironic.http_root)
    step = told["deploy_step"]
    step["args"]["plan_url"] = step["args"]["plan_url"].replace("http://SERVER", ironic.http_url)
    return json.dumps([step])


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--raw", action="store_true", help="the raw image too, which takes long")
    parser.add_argument("--cpus", type=int, default=2, help="processors of the node")
    parser.add_argument("--work", type=Path, default=Path.home())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        image = options.image or sample(Path(folder))
        contest(Path(folder), image, cpus=options.cpus, raw=options.raw)


if __name__ == "__main__":
    main()
