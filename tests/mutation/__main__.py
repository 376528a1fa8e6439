"""Try mutants, one after the other, and tell which of them no quick test noticed."""

import argparse
import difflib
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tests.conftest import REPOSITORY
from tests.mutation.sample import Drawn, at, draw, modules
from tests.mutation.scratch import Ran, Scratch

PASSED = (0, 5)  # pytest's exit codes; the latter where nothing is selected


class Verdict(msgspec.Struct, frozen=True):
    """What became of a mutant. `noticed` is the test that failed, or nothing."""

    module: str
    line: int
    kind: str
    diff: str
    end: str  # killed, survived or timeout
    noticed: str
    seconds: float


def main() -> int:
    args = arguments()
    if args.at:
        drawn = at(REPOSITORY, args.at)
    else:
        drawn = draw(REPOSITORY, args.seed, args.count, args.package)
    if not args.trust:
        baseline(drawn)
    print(f"mutate: seed {args.seed}, {len(drawn)} mutants", flush=True)
    shares = [drawn[index :: args.jobs] for index in range(args.jobs)]
    with ThreadPoolExecutor(args.jobs) as pool:
        verdicts = [one for part in pool.map(tried, shares) for one in part]
    table(verdicts)
    if args.report is not None:
        args.report.write_bytes(msgspec.json.format(msgspec.json.encode(verdicts)))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--count", type=int, default=200, help="over all packages")
    parser.add_argument("--package", action="append", choices=sorted(modules(REPOSITORY)))
    parser.add_argument("--at", action="append", help="MODULE:LINE[-LINE]: all that are there")
    parser.add_argument("--trust", action="store_true", help="the tests do pass without mutants")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--report", type=Path, help="a JSON file of all verdicts")
    return parser.parse_args()


def tried(share: list[Drawn]) -> list[Verdict]:
    """Each mutant of a share in turn, in a copy of the repository."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        scratch = Scratch(REPOSITORY, Path(folder))
        return [attempt(scratch, drawn) for drawn in share]


def baseline(drawn: list[Drawn]) -> None:
    """The tests that will be run have to pass while nothing is broken."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        scratch = Scratch(REPOSITORY, Path(folder))
        asked = {words[0] for one in drawn for words in tests_of(scratch.root, one.module)}
        ran = scratch.pytest(tuple(sorted(asked)))
        if ran.code not in PASSED:
            sys.exit(f"mutate: a test fails without any mutant:\n{ran.output[-3000:]}")


def attempt(scratch: Scratch, drawn: Drawn) -> Verdict:
    source = (scratch.root / drawn.module).read_text()
    changed = drawn.mutant.applied(source)
    end, noticed, seconds = "survived", "", 0.0
    with scratch.changed(drawn.module, changed):
        for words in tests_of(scratch.root, drawn.module):
            ran = scratch.pytest(words)
            seconds += ran.seconds
            if ran.code not in PASSED:
                end = "timeout" if ran.code is None else "killed"
                noticed = failure(ran)
                break
    verdict = Verdict(
        module=str(drawn.module),
        line=drawn.line,
        kind=drawn.mutant.kind,
        diff=difference(source, changed),
        end=end,
        noticed=noticed,
        seconds=round(seconds, 1),
    )
    show(verdict)
    return verdict


def tests_of(root: Path, module: Path) -> list[tuple[str, ...]]:
    """The module's own test file, then its folder's; those of tests/ itself are none's folder."""
    folder = Path("tests", *module.parent.parts[1:])
    own = folder / f"test_{module.stem}.py"
    there = (root / own).is_file()
    found: list[tuple[str, ...]] = [(str(own),)] if there else []
    if folder != Path("tests") and (root / folder).is_dir():
        found.append((str(folder), *(("--ignore", str(own)) if there else ())))
    return found


def failure(ran: Ran) -> str:
    lines = ran.output.splitlines()
    named = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return (named or lines or ["out of time"])[-1 if not named else 0][:200]


def difference(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join(list(lines)[3:])


def show(verdict: Verdict) -> None:
    place = f"{verdict.module}:{verdict.line}"
    print(f"{verdict.end:9}{place}  {verdict.kind}  ({verdict.seconds} s)  {verdict.noticed}")
    for line in verdict.diff.splitlines():
        print(f"         {line}")
    sys.stdout.flush()


def table(verdicts: list[Verdict]) -> None:
    """By package: how many were tried and how many noticed; a timeout is noticed."""
    print(f"\n{'package':<12}{'mutants':>8}{'survived':>9}{'timeout':>8}{'score':>7}")
    for name, ends in rows(verdicts):
        total = sum(ends.values())
        score = 100 * (total - ends["survived"]) // max(total, 1)
        print(f"{name:<12}{total:>8}{ends['survived']:>9}{ends['timeout']:>8}{score:>6}%")


def rows(verdicts: list[Verdict]) -> Iterator[tuple[str, Counter[str]]]:
    packages: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        packages[Path(verdict.module).parts[1]][verdict.end] += 1
    yield from sorted(packages.items())
    yield "all", sum(packages.values(), Counter())


if __name__ == "__main__":
    sys.exit(main())
