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
if name == "qemu-img" and not any(word.startswith("rbd:") for word in args):
    os.environ["PATH"] = os.environ["PATH"].replace(str(here / "bin"), "")
    os.execvp(name, sys.argv)
kept = {{k: v for k, v in os.environ.items() if k.startswith("CEPH_")}}
with (here / "calls").open("a") as log:
    log.write(json.dumps([name, args, kept]) + "\\n")
verbs = [word for word in args if word.isalpha()][: 2 if "snap" in args else 1]
fault = here / "-".join(["fault", name, *verbs])
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

# The two libraries of Ceph as glance_store calls them, over the same folder.
RADOS = """
import contextlib

class Error(Exception): pass
class ObjectNotFound(Error): pass

class Rados:
    def __init__(self, conffile=None, rados_id=None): pass
    def conf_set(self, name, value): pass
    def connect(self): pass
    def shutdown(self): pass
    def get_fsid(self): return {fsid!r}
    @contextlib.contextmanager
    def open_ioctx(self, pool): yield pool
"""
RBD = """
import json, pathlib

RBD_FEATURE_LAYERING = 1

class ImageNotFound(Exception): pass
class ImageBusy(Exception): pass
class InvalidArgument(Exception): pass

class Image:
    def __init__(self, ioctx, name, snapshot=None, read_only=False):
        self.file = pathlib.Path({here!r}, "pool", ioctx + "+" + name)
        snap = self.file.with_suffix(".snap")
        if not self.file.exists():
            raise ImageNotFound(name)
        if snapshot and json.loads(snap.read_text())["name"] != snapshot:
            raise ImageNotFound(snapshot)
    def __enter__(self): return self
    def __exit__(self, *exc): pass
    def size(self): return self.file.stat().st_size
    def stat(self): return dict(size=self.size())
    def read(self, offset, length):
        with self.file.open("rb") as data:
            data.seek(offset)
            return data.read(length)
"""


class Ceph:
    """A folder of stand-ins to put first on PATH, and what they noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.pool = folder / "pool"
        self.libraries = folder / "lib"
        self.bin.mkdir(parents=True)
        self.pool.mkdir()
        self.libraries.mkdir()
        words = {"fsid": FSID, "here": str(folder)}
        (self.libraries / "rados.py").write_text(RADOS.format_map(words))
        (self.libraries / "rbd.py").write_text(RBD.format_map(words))
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
