"""Which mutants are tried: a seeded draw over all packages, each by the lines it has."""

import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants, parses

LEAST = 4  # of each package, however small


@dataclass(frozen=True)
class Drawn:
    """A mutant and its module (from the repository's root)."""

    module: Path
    line: int
    mutant: Mutant

    @property
    def package(self) -> str:
        """The folder below bakery/, or the module that stands there alone."""
        return package_of(self.module)


def package_of(module: Path) -> str:
    return module.parts[1]


def modules(root: Path) -> dict[str, list[Path]]:
    """The modules that hold code, by package, from the repository's root."""
    found = defaultdict(list)
    for path in sorted((root / "bakery").rglob("*.py")):
        if is_code(path) or path.parent != root / "bakery":
            found[package_of(path.relative_to(root))].append(path.relative_to(root))
    return dict(found)


def is_code(path: Path) -> bool:
    """Of what lies in bakery/ itself: neither its __init__ nor its __main__."""
    return not path.name.startswith("__")


def draw(root: Path, seed: int, count: int, only: list[str] | None = None) -> list[Drawn]:
    """`count` mutants, or some packages' shares of them; a share is the same beside any other."""
    packages = modules(root)
    sizes = {name: sum(map(lines, in_root(root, files))) for name, files in packages.items()}
    drawn: list[Drawn] = []
    for name, files in packages.items():
        if only is None or name in only:
            share = max(LEAST, round(count * sizes[name] / sum(sizes.values())))
            drawn += of_package(root, files, share, random.Random(f"{seed} {name}"))
    return drawn


def at(root: Path, places: list[str]) -> list[Drawn]:
    """Every mutant of these places, each `MODULE:LINE` or `MODULE:LINE-LINE`."""
    drawn = []
    for place in places:
        name, _, numbers = place.partition(":")
        first, _, last = numbers.partition("-")
        source = (root / name).read_text()
        for mutant in mutants(source):
            line = source.count("\n", 0, mutant.start) + 1
            within = int(first) <= line <= int(last or first)
            if within and parses(mutant.applied(source)):
                drawn.append(Drawn(Path(name), line, mutant))
    return drawn


def in_root(root: Path, files: list[Path]) -> list[Path]:
    return [root / file for file in files]


def lines(path: Path) -> int:
    return path.read_text().count("\n")


def of_package(root: Path, files: list[Path], share: int, chance: random.Random) -> list[Drawn]:
    """No line twice: two changes of one line tell the same."""
    sources = {file: (root / file).read_text() for file in files}
    places: dict[tuple[Path, int], list[Mutant]] = defaultdict(list)
    for file, source in sources.items():
        for mutant in mutants(source):
            places[file, source.count("\n", 0, mutant.start) + 1].append(mutant)
    order = chance.sample(sorted(places), len(places))
    drawn = (Drawn(*place, chance.choice(places[place])) for place in order)
    fit = (one for one in drawn if parses(one.mutant.applied(sources[one.module])))
    return sorted(islice(fit, share), key=lambda one: (one.module, one.line))
