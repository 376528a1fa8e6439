"""Mutates real inputs of every parser: only a refusal may come out, soon, and in little memory.

    .venv/bin/python -m tests.fuzz.mutate [--inputs 9000000] [--seed N] [--only NAME]

The suite runs a short form of it (test_mutate.py); this runs as long as one likes. Every finding
is printed once and its input kept. At the end it tells how many inputs each parser was given, and
what the process held before and after; exit code 1 where there was a finding or a growth.
"""

import argparse
import contextlib
import functools
import math
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.held import Held, held
from tests.fuzz.seeds import targets
from tests.fuzz.target import REFUSALS, Target

CALL_SECONDS = 5.0
"""Of processor time: what a parser may take for one input."""
MEMORY_BYTES = 2 << 30
ROUND = 500
"""Inputs for one parser before the next has its turn."""
WARM_ROUNDS = 2
"""Until then caches fill and modules load: what is held is compared from there on."""
HEAD_BYTES = 4096
"""Where a large input has its headers: half of the changes are made there."""
WORDS = (
    b"\0",
    b"\xff",
    b"\n",
    b'"',
    b"\\",
    b"$",
    b"{",
    b"}",
    b"[",
    b"]",
    b"/",
    b"../",
    b"=",
    b":",
    b" ",
    b"-1",
    b"null",
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f" + b"\xff" * 7,
    b"9" * 30,
    b"9" * 5000,  # more digits than Python makes a number of
    b"\xed\xa0\x80",  # half of a surrogate pair
)


TOKEN = re.compile(rb'"[^"\n]{0,200}"|-?[0-9]+(?:\.[0-9]+)?|\btrue\b|\bfalse\b|\bnull\b')
TOKENS = (
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1.5",
    b"9" * 19,
    b'""',
    b'"x"',
    b"[]",
    b"[1]",
    b"{}",
    b'{"a": 1}',
    b"[" * 2000,
)
"""What may stand where a value does, in JSON, TOML and YAML."""


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """`seed` with one to eight changes: bits, bytes, numbers, pieces cut, doubled or moved.

    Of every third one, values are exchanged for others, so that the text stays what it is.
    """
    found = _values(seed) if chance.randrange(3) == 0 else ()
    if found:
        return _exchanged(seed, found, chance)
    data = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        _change(data, chance)
    return bytes(data)


@functools.cache
def _values(seed: bytes) -> Sequence[re.Match[bytes]]:
    return list(TOKEN.finditer(seed))


def _exchanged(seed: bytes, found: Sequence[re.Match[bytes]], chance: random.Random) -> bytes:
    """`seed` with one or two of its values as other ones."""
    for match in sorted(chance.sample(found, min(2, len(found))), reverse=True, key=_start):
        other = chance.choice((*TOKENS, chance.choice(found)[0]))
        seed = seed[: match.start()] + other + seed[match.end() :]
    return seed


def _change(data: bytearray, chance: random.Random) -> None:
    reach = min(len(data), HEAD_BYTES) if chance.randrange(2) else len(data)
    place = chance.randrange(reach + 1)
    length = chance.choice((1, 2, 4, 8, 64, 512))
    kind = chance.randrange(7)
    if kind == 0 and place < len(data):
        data[place] ^= 1 << chance.randrange(8)
    elif kind == 1:
        word = chance.choice(WORDS)
        data[place : place + len(word)] = word
    elif kind == 2:
        data[place:place] = chance.choice(WORDS)
    elif kind == 3:
        del data[place : place + length]
    elif kind == 4:
        data[place:place] = data[place : place + length] * chance.choice((1, 2, 50))
    elif kind == 5:
        other = chance.randrange(len(data) + 1)
        data[place : place + length] = data[other : other + length]
    elif chance.randrange(4) == 0:
        del data[chance.randrange(len(data) + 1) :]


def _start(match: re.Match[bytes]) -> int:
    return match.start()


def attempt(target: Target, data: bytes) -> str:
    """What is wrong with how the parser takes `data`; empty where nothing is."""
    started = time.thread_time()
    try:
        target.parse(data)
    except REFUSALS:
        pass
    except Exception:  # noqa: BLE001 - any other is what is looked for
        return traceback.format_exc()
    seconds = time.thread_time() - started
    return f"took {seconds:.1f} s" if seconds > CALL_SECONDS else ""


@dataclass
class Run:
    """Parsers at work: how many inputs each was given, in how long, and what was found."""

    chosen: Sequence[Target]
    chance: random.Random
    tried: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)

    def go(self, inputs: int) -> None:
        """Give each its share of so many inputs, in turns."""
        left = self._shares(inputs)
        while any(left.values()):
            for target in self.chosen:
                count = min(ROUND, left[target.name])
                left[target.name] -= count
                self._round(target, count)
            print(f"{sum(self.tried.values())} inputs", file=sys.stderr, flush=True)

    def _shares(self, inputs: int) -> dict[str, int]:
        """Equal ones at first; then each parser gets what it takes in the same time."""
        weights = {
            target.name: self.tried[target.name] / self.seconds[target.name] if self.tried else 1.0
            for target in self.chosen
        }
        total = sum(weights.values())
        return {name: math.ceil(inputs * weight / total) for name, weight in weights.items()}

    def _round(self, target: Target, count: int) -> None:
        started = time.thread_time()
        for _ in range(count):
            data = mutated(target.seed, self.chance)
            if wrong := attempt(target, data):
                self._found(target, data, wrong)
        self.tried[target.name] = self.tried.get(target.name, 0) + count
        spent = time.thread_time() - started
        self.seconds[target.name] = self.seconds.get(target.name, 0.0) + spent

    def _found(self, target: Target, data: bytes, wrong: str) -> None:
        """Print what is new: the same place in the code is told once."""
        frames = [line for line in wrong.splitlines() if line.startswith("  File")]
        where = f"{target.name} {frames[-1] if frames else wrong}"
        if where not in self.findings:
            kept = Path(tempfile.mkdtemp(prefix="finding-")) / "input"
            kept.write_bytes(data)
            self.findings[where] = str(kept)
            print(f"{target.name}: {kept}\n{wrong}", flush=True)


def main() -> int:
    """Fuzz; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it tells what it has done
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        chosen = [t for t in targets(Path(folder)) if options.only in t.name]
        run = Run(chosen, random.Random(options.seed))
        started = time.monotonic()
        run.go(WARM_ROUNDS * ROUND * len(chosen))
        before = held()
        with contextlib.suppress(KeyboardInterrupt):
            run.go(max(0, options.inputs - sum(run.tried.values())))
        grown = before.grown(held())
    _tell(run, before, time.monotonic() - started)
    if grown:
        print(f"grown: {grown}")
    return 1 if run.findings or grown else 0


def _tell(run: Run, before: Held, seconds: float) -> None:
    for name, count in sorted(run.tried.items()):
        print(f"{count:>9} {run.seconds[name] / count * 1e6:>8.0f} us  {name}")
    total = sum(run.tried.values())
    print(f"{total:>9} inputs, {len(run.tried)} parsers, {seconds / 60:.1f} min")
    print(f"{len(run.findings):>9} findings; held before: {before}, after: {held()}")


if __name__ == "__main__":
    sys.exit(main())
