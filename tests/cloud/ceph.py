"""Stand-ins for rbd, ceph and qemu-img: they note how they were called and keep a pool in a folder.

There is no Ceph to test against; these answer as rbd(8) does for the few commands bakery uses.
"""

import json
import os
import sys
from pathlib import Path

FSID = "b2a5e2e6-7f0c-4b1e-9a2d-0c9e6a3c1f11"

PROGRAM = """#!{python}
import json, os, pathlib, shutil, sys

here = pathlib.Path({here!r})
name, args = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
kept = {{k: v for k, v in os.environ.items() if k.startswith("CEPH_")}}
with (here / "calls").open("a") as log:
    log.write(json.dumps([name, args, kept]) + "\\n")
fault = here / ("fault-" + "-".join([name, *[a for a in args if a.isalpha()][: 2 if "snap" in args else 1]]))
if fault.exists():
    sys.stderr.write(fault.read_text())
    sys.exit(1)

def rbd(words):
    while words[0] in ("--id", "--conf"):
        words = words[2:]
    image, _, snap = words[-1].partition("@")
    file = here / "pool" / image.replace("/", "+")
    state = file.with_suffix(".snap")
    if not file.exists():
        sys.stderr.write("rbd: error opening image: (2) No such file or directory\\n")
        sys.exit(2)
    if words[0] == "rm":
        if state.exists():
            sys.exit(39)
        file.unlink()
    elif words[:2] == ["snap", "ls"]:
        print(json.dumps([json.loads(state.read_text())] if state.exists() else []))
    elif words[:2] == ["snap", "create"]:
        size = file.stat().st_size
        state.write_text(json.dumps(dict(id=4, name=snap, size=size, protected="false")))
    elif words[:2] == ["snap", "rm"]:
        state.unlink()
    else:
        protected = {{"protect": "true", "unprotect": "false"}}[words[1]]
        state.write_text(json.dumps(json.loads(state.read_text()) | dict(protected=protected)))

def qemu_img(words):
    target = words[-2] if words[0] == "create" else words[-1]
    file = here / "pool" / target.split(":")[1].replace("/", "+")
    if words[0] == "create":
        if file.exists():
            sys.exit("qemu-img: error rbd create: File exists")
        file.touch()
    else:
        print("    (50.00/100%)\\r    (100.00/100%)")
        shutil.copyfile(words[-2], file)

if name == "ceph":
    print({fsid!r})
else:
    (rbd if name == "rbd" else qemu_img)(args)
"""


class Ceph:
    """A folder of stand-ins to put first on PATH, and what they noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.pool = folder / "pool"
        self.bin.mkdir(parents=True)
        self.pool.mkdir()
        text = PROGRAM.format(python=sys.executable, here=str(folder), fsid=FSID)
        for name in ("rbd", "ceph", "qemu-img"):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    @property
    def path(self) -> str:
        """The PATH to run bakery with."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def fault(self, command: str, words: str) -> None:
        """Have `command` (`rbd-snap-create`, `qemu-img-convert` …) fail with these words."""
        (self.folder / f"fault-{command}").write_text(words)

    def mend(self) -> None:
        """Have everything work again."""
        for path in self.folder.glob("fault-*"):
            path.unlink()

    def calls(self) -> list[list[str]]:
        """The command lines so far."""
        return [[name, *args] for name, args, _ in self._noted()]

    def environments(self) -> list[dict[str, str]]:
        """The variables of Ceph each command saw."""
        return [env for _, _, env in self._noted()]

    def forget(self) -> None:
        """Start counting anew."""
        (self.folder / "calls").unlink(missing_ok=True)

    def _noted(self) -> list[tuple[str, list[str], dict[str, str]]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
