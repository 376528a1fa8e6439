"""The shape of the package: who may import whom, and who may start a process.

The table below is the architecture; docs/architecture.md shows it with what each folder says of
itself. Imports are read from the source with `ast`, those inside functions included.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ARCHITECTURE = REPOSITORY / "docs/architecture.md"
PACKAGE = REPOSITORY / "bakery"

# From top to bottom, as docs/architecture.md shows them. A package imports from itself and from
# lines below its own; never from a neighbour on its line, never upward.
LAYERS = (
    ("cli",),
    ("conductor", "devstack", "doctor"),
    ("build", "lab"),
    ("openstack", "samples", "vm"),
    ("image", "netboot"),
    ("manifest", "recovery"),
    ("bmc", "node", "system"),
    ("disk",),
    ("host",),
)
RANK = {part: -line for line, parts in enumerate(LAYERS) for part in parts} | {"__main__": 1}
LAYERS_LIMIT = 10
FOLDERS_LIMIT = 2
FILE_LINES_LIMIT = 450

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
        "bakery/host/run.py",
        "bakery/host/all_users.py",
        "bakery/image/engines/confined_worker.py",
        "bakery/node/agent/programs.py",
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
    """The part a source file belongs to: `bakery/disk/volumes/lvm.py` → `disk`."""
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


def sentence(module: Path) -> str:
    """What a module or a package's `__init__` says it is: the first line of its docstring."""
    first = (ast.get_docstring(parse(module)) or "").partition("\n")[0]
    return first if first.endswith(".") else ""


def folders(package: Path) -> list[Path]:
    """The folder of `package` and those inside it; of a part that is one module, that module."""
    module = package.with_suffix(".py")
    if module.is_file():
        return [module]
    return sorted(path.parent for path in package.rglob("__init__.py"))


def silent(package: Path) -> list[str]:
    """The folders of `package` that do not say their one idea in a sentence."""
    inside = [path for path in package.rglob("*.py") if not (path.parent / "__init__.py").is_file()]
    wrong = {str(path.parent) for path in inside}
    for folder in folders(package):
        module = folder if folder.suffix else folder / "__init__.py"
        if not sentence(module):
            wrong.add(str(folder))
    return sorted(wrong)


def table(package: Path = PACKAGE) -> str:
    """The table of docs/architecture.md: every folder, from top to bottom, and its sentence."""
    rows = ["| layer | folder | its one idea |", "|---|---|---|"]
    for line, parts in enumerate(LAYERS):
        number = str(len(LAYERS) - line)
        for part in parts:
            for folder in folders(package / part):
                module = folder if folder.suffix else folder / "__init__.py"
                name = str(folder.relative_to(package))
                rows.append(f"| {number} | `{name}` | {sentence(module)} |")
                number = ""
    return "\n".join(rows) + "\n"


def test_the_table_is_short_and_names_every_part():
    parts = {part for path in sources() if (part := part_of_file(relative(path)))}
    assert sorted(parts - set(RANK)) == [], "add the new part to LAYERS, where it belongs"
    assert sorted(set(RANK) - parts) == [], "take the part out of LAYERS"
    assert len(LAYERS) <= LAYERS_LIMIT


def test_the_architecture_page_shows_the_table():
    assert table() in ARCHITECTURE.read_text(), f"put this into {ARCHITECTURE.name}:\n{table()}"


def test_every_folder_says_its_one_idea_in_a_sentence():
    assert [place for part in RANK for place in silent(PACKAGE / part)] == []


def test_folders_are_at_most_two_levels_deep_and_files_are_short():
    deep = [relative(p) for p in sources() if len(p.relative_to(PACKAGE).parts) - 1 > FOLDERS_LIMIT]
    long = [relative(p) for p in sources() if p.read_text().count("\n") > FILE_LINES_LIMIT]
    assert (deep, long) == ([], [])


def test_the_agent_imports_the_standard_library_alone():
    agent = PACKAGE / "node/agent"
    wrong = [
        f"{item.where}: imports {item.name}"
        for path in sorted(agent.rglob("*.py"))
        for item in imports(parse(path), relative(path))
        if item.name.split(".")[0] not in sys.stdlib_module_names
        and not item.name.startswith("bakery.node.agent.")
    ]
    assert wrong == []


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
        ("bakery/disk/extents.py", "from bakery.image.engines.base import Engine"),
        ("bakery/disk/volumes/lvm.py", "from bakery import image"),
        ("bakery/disk/volumes/lvm.py", "from ... import image"),
        ("bakery/disk/volumes/lvm.py", "from ...cli.main import main"),
        ("bakery/node/hardware_manager.py", "from bakery.bmc import ipmi"),
        ("bakery/host/run.py", "def late():\n    import bakery.disk.extents"),
        ("bakery/doctor.py", "from bakery.devstack import check"),
    ],
)
def test_an_import_upward_or_sideways_is_seen(file, text):
    assert len(upward(imports(ast.parse(text), file))) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("bakery/disk/volumes/lvm.py", "from bakery.host.errors import BakeryError"),
        ("bakery/disk/volumes/lvm.py", "from bakery.disk.extents import Extent"),
        ("bakery/disk/volumes/lvm.py", "from .volumes import Volume"),
        ("bakery/cli/main.py", "from bakery import __version__, build"),
        ("bakery/__init__.py", "import os"),
    ],
)
def test_a_downward_import_passes(file, text):
    assert upward(imports(ast.parse(text), file)) == []


@pytest.mark.parametrize(
    "text", ["", '"""A sentence that goes on\nfor two lines."""', '"""no sentence"""']
)
def test_a_folder_without_its_sentence_is_seen(tmp_path, text):
    package = tmp_path / "oven"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Bread, and how it is made."""\n')
    (package / "inner/__init__.py").write_text(text)
    assert silent(package) == [str(package / "inner")]
    (package / "inner/__init__.py").write_text('"""Dough."""\n')
    assert silent(package) == []
    (package / "lost").mkdir()
    (package / "lost/dough.py").write_text("")
    assert silent(package) == [str(package / "lost")]


def test_a_page_that_differs_from_the_table_is_seen(monkeypatch):
    assert "| `disk` | Bytes and nothing else" in table()
    monkeypatch.setattr(f"{__name__}.LAYERS", (*LAYERS[1:], LAYERS[0]))
    assert table() not in ARCHITECTURE.read_text()


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
    assert processes(ast.parse(text), "bakery/build/build.py")


def test_a_shell_is_seen():
    assert shells(ast.parse("run('true', shell=True)"), "bakery/build/build.py")
    assert not shells(ast.parse("run(['true'], shell=False)"), "bakery/build/build.py")
