"""The shape of the package: who may import whom, and who may start a process.

The table below is the architecture (docs/architecture.md tells it in words). It is read from the
source with `ast`, imports inside functions included.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "bakery"

# From the ground up. A part imports from itself and from parts on lower lines; never from a
# neighbour on its own line, never upward.
LAYERS = (
    # the ground
    ("errors", "tools", "all_users", "agent", "interrupts", "ipmi_sockets"),
    ("run", "pool", "report", "ipa", "ipmi"),
    ("bmc", "kvm", "sandbox", "workdir"),
    # what bytes and texts mean
    ("disk",),
    ("system",),
    ("fleet", "manifest", "recovery", "releases", "source"),
    ("folder",),
    # what is in an image
    ("engines",),
    ("look",),
    ("bootentries",),
    ("inspection",),
    # what is made of it
    ("choice", "sbom", "scrub"),
    ("stages",),
    ("plan",),
    # what runs it
    ("console", "firmware"),
    ("machine",),
    ("cloud", "doctor", "lab", "params", "prove", "ramdisk", "serve"),
    ("deploy", "devstack", "recipe"),
    # what a user types
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

# Parts that know bytes and texts alone: no command line, no cloud, no appliance, no process.
PURE_PARTS = ("disk", "system")
NOT_FOR_PURE_PARTS = frozenset({"click", "guestfs", "openstack", "pexpect", "rich", "subprocess"})

PROCESS_MODULES = frozenset({"multiprocessing", "pty", "subprocess"})
PROCESS_CALLS = frozenset(
    {
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "os.popen",
        "os.posix_spawn",
        "os.posix_spawnp",
        "os.system",
        "pexpect.run",
        "pexpect.spawn",
    }
)
# The others are programs of their own, that run where bakery itself cannot be imported.
MAY_START_PROCESSES = frozenset(
    {
        "bakery/run.py",
        "bakery/all_users.py",
        "bakery/engines/confined_worker.py",
        "bakery/agent/programs.py",
    }
)


@dataclass(frozen=True)
class Import:
    """`file` (relative to the repository) imports the module `name`, at `line`."""

    file: str
    line: int
    name: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports(tree: ast.Module, file: str) -> Iterator[Import]:
    """Every import in `tree`, with `from package import name` told as `package.name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            folders = Path(file).parent.parts
            base = folders[: len(folders) - node.level + 1] if node.level else ()
            for alias in node.names:
                yield Import(
                    file, node.lineno, ".".join((*base, *filter(None, [node.module]), alias.name))
                )


def part_of(module: str) -> str | None:
    """The part a dotted name inside the package belongs to; None for the package itself."""
    words = module.split(".")
    if words[0] != "bakery" or len(words) < 2 or words[1].startswith("__version"):
        return None
    return words[1]


def part_of_file(file: str) -> str | None:
    """The part a source file belongs to: `bakery/disk/lvm.py` → `disk`."""
    second = Path(file).parts[1]
    return None if second == "__init__.py" else second.removesuffix(".py")


def upward(found: Iterator[Import]) -> list[str]:
    """The imports that the table forbids, in words."""
    wrong = []
    for item in found:
        importer, imported = part_of_file(item.file), part_of(item.name)
        if importer not in RANK or imported not in RANK or importer == imported:
            continue
        if RANK[imported] >= RANK[importer]:
            wrong.append(f"{item.where}: {importer} must not import {imported}")
    return wrong


def processes(tree: ast.Module, file: str) -> list[str]:
    """The places in `tree` that start a process by themselves, in words."""
    wrong = [
        f"{item.where}: imports {item.name}"
        for item in imports(tree, file)
        if item.name.split(".")[0] in PROCESS_MODULES or item.name in PROCESS_CALLS
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in PROCESS_CALLS or name.startswith(("os.exec", "os.spawn", "os.fork")):
                wrong.append(f"{file}:{node.lineno}: uses {name}")
    return wrong


def shells(tree: ast.Module, file: str) -> list[str]:
    """The places in `tree` that hand a command to a shell, in words."""
    return [
        f"{file}:{node.value.lineno}: shell={ast.unparse(node.value)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
        and node.arg == "shell"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]


def test_every_part_has_its_place_in_the_table():
    parts = {part for path in sources() if (part := part_of_file(relative(path)))}
    assert sorted(parts - set(RANK)) == [], "add the new part to LAYERS, where it belongs"


def test_no_import_points_upward():
    found = (item for path in sources() for item in imports(parse(path), relative(path)))
    assert upward(found) == []


def test_parts_that_know_bytes_and_texts_import_nothing_else():
    wrong = [
        f"{item.where}: imports {item.name}"
        for part in PURE_PARTS
        for path in sorted((PACKAGE / part).rglob("*.py"))
        for item in imports(parse(path), relative(path))
        if item.name.split(".")[0] in NOT_FOR_PURE_PARTS
    ]
    assert wrong == []


def test_only_run_starts_processes():
    wrong = [
        line
        for path in sources()
        if relative(path) not in MAY_START_PROCESSES
        for line in processes(parse(path), relative(path))
    ]
    assert wrong == []


def test_nothing_is_ever_handed_to_a_shell():
    assert [line for path in sources() for line in shells(parse(path), relative(path))] == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("bakery/disk/lvm.py", "from bakery.engines.base import Engine"),
        ("bakery/disk/lvm.py", "from bakery import plan"),
        ("bakery/disk/lvm.py", "from .. import plan"),
        ("bakery/disk/lvm.py", "from ..cli.main import main"),
        ("bakery/disk/lvm.py", "from bakery.system import fstab"),
        ("bakery/kvm.py", "from bakery import sandbox"),
        ("bakery/run.py", "def late():\n    import bakery.report"),
    ],
)
def test_an_upward_import_is_seen(file, text):
    assert len(upward(imports(ast.parse(text), file))) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("bakery/disk/lvm.py", "from bakery.errors import BakeryError"),
        ("bakery/disk/lvm.py", "from bakery.disk.extents import Extent"),
        ("bakery/disk/lvm.py", "from .extents import Extent"),
        ("bakery/cli/main.py", "from bakery import __version__, plan"),
        ("bakery/__init__.py", "import os"),
    ],
)
def test_a_downward_import_passes(file, text):
    assert upward(imports(ast.parse(text), file)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess",
        "from subprocess import Popen",
        "def late():\n    import pty",
        "import os\nos.system('true')",
        "import os\nos.execv('/bin/true', [])",
        "from os import popen",
        "import pexpect\npexpect.spawn('true')",
    ],
)
def test_a_process_started_elsewhere_is_seen(text):
    assert processes(ast.parse(text), "bakery/plan.py")


def test_a_shell_is_seen():
    assert shells(ast.parse("run('true', shell=True)"), "bakery/plan.py")
    assert not shells(ast.parse("run(['true'], shell=False)"), "bakery/plan.py")
