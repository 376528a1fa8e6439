"""A copy of the repository in which mutants are tried, and a cage around the tests that try them.

A mutant may kill or remove what it should not. Its tests therefore see their own processes alone
and can write the copy and a /tmp of their own; when they end, whatever they started ends too.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".services", "__pycache__", ".*_cache", ".hypothesis", "*.qcow2"
)

RUN_TIMEOUT_SECONDS = 600
PYTEST = [
    *("-n", "0", "-q", "-x", "-m", "not slow and not bench"),
    *("-p", "no:cacheprovider", "--timeout", "60"),
    *("--hypothesis-profile", "ci"),  # always the same examples, and no deadline
]
# A test asks a cage for a process by its number, which is not to be that of one in there.
LATER = 'for i in {1..50}; do (:); done; "$@"; exit $?'


@dataclass(frozen=True)
class Ran:
    """How a run of pytest ended: its exit code (None: out of time), its output, its seconds."""

    code: int | None
    output: str
    seconds: float


class Scratch:
    """The copy, with a Python environment whose `bakery` is the copy's."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.root = folder / "copy"
        shutil.copytree(repository, self.root, ignore=LEFT_OUT, symlinks=True)
        self.python = environment(self.root)

    @contextmanager
    def changed(self, module: Path, text: str) -> Iterator[None]:
        """The module with another text, for as long as the body runs."""
        path = self.root / module
        before = path.read_text()
        write(path, text)
        try:
            yield
        finally:
            write(path, before)

    def pytest(self, words: tuple[str, ...]) -> Ran:
        """The quick tests that `words` tell pytest, up to the first that fails."""
        argv = [*cage(self.root), str(self.python), "-m", "pytest", *PYTEST, *words]
        began = time.monotonic()
        try:
            done = subprocess.run(
                argv,
                cwd=self.root,
                env=os.environ | {"HOME": str(self.root), "XDG_CACHE_HOME": str(self.root)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=RUN_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(None, "", time.monotonic() - began)
        return Ran(done.returncode, done.stdout, time.monotonic() - began)


def cage(root: Path) -> list[str]:
    """bubblewrap's words: the machine read-only, but for the copy; processes of their own."""
    return [
        "bwrap",
        *("--ro-bind", "/", "/"),
        *("--dev-bind", "/dev", "/dev"),
        *("--tmpfs", "/tmp", "--tmpfs", "/var/tmp"),
        *("--ro-bind", sys.prefix, sys.prefix),
        *("--bind", str(root), str(root)),
        *("--unshare-pid", "--proc", "/proc", "--die-with-parent"),
        *(("--cap-add", "ALL") if os.geteuid() == 0 else ()),
        *("bash", "-c", LATER, "bash"),
    ]


def environment(root: Path) -> Path:
    """A virtual environment in the copy: the copy's bakery, all else from where we run."""
    folder = root / ".venv"
    venv.create(folder, with_pip=False, symlinks=True)  # a caged program needs the system's own
    ours = Path(sysconfig.get_path("purelib"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    theirs = folder / "lib" / version / "site-packages"
    (theirs / "a.pth").write_text(f"{root}\nimport site; site.addsitedir({str(ours)!r})\n")
    command = folder / "bin/bakery"
    command.write_text(
        f"#!{folder}/bin/python\nfrom bakery.cli.main import main\nraise SystemExit(main())\n"
    )
    command.chmod(0o755)
    return folder / "bin/python"


def write(path: Path, text: str) -> None:
    """Python tells a stale bytecode file by second and size, which both may be as before."""
    path.write_text(text)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
