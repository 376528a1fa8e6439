"""Mutates real inputs of every parser: only a refusal may come out, soon, and in little memory.

    .venv/bin/python -m tests.fuzz.mutate [--seconds 60] [--seed N] [--only NAME]

Not part of the test suite, which has properties by hypothesis and a list of hostile images; this
runs as long as one likes. It ends with exit code 1 at the first finding and leaves the input.
"""

import argparse
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.seeds import REFUSALS, Target, targets

CALL_SECONDS = 5.0
MEMORY_BYTES = 1 << 30
WORDS = (
    b"\0",
    b"\xff",
    b"\n",
    b'"',
    b"\\",
    b"$",
    b"{",
    b"}",
    b"/",
    b"../",
    b"=",
    b" ",
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f" + b"\xff" * 7,
    b"9" * 30,
    b"-1",
)


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """`seed` with one to eight changes: bits, bytes, numbers, pieces cut, doubled or moved."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(data) + 1)
        length = chance.choice((1, 2, 4, 8, 64, 512))
        kind = chance.randrange(6)
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
        else:
            del data[chance.randrange(len(data) + 1) :]
    return bytes(data)


def attempt(target: Target, data: bytes) -> str:
    """What is wrong with how the parser takes `data`; empty where nothing is."""
    started = time.monotonic()
    try:
        target.parse(data)
    except REFUSALS:
        pass
    except Exception:  # noqa: BLE001 - any other is what is looked for
        return traceback.format_exc()
    seconds = time.monotonic() - started
    return f"took {seconds:.1f} s" if seconds > CALL_SECONDS else ""


def main() -> int:
    """Fuzz; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    chance = random.Random(options.seed)
    tried: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        chosen = [t for t in targets(Path(folder)) if options.only in t.name]
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            target = chance.choice(chosen)
            data = mutated(target.seed, chance)
            tried[target.name] = tried.get(target.name, 0) + 1
            wrong = attempt(target, data)
            if wrong:
                kept = Path(tempfile.mkdtemp(prefix="finding-")) / "input"
                kept.write_bytes(data)
                print(f"{target.name}: {kept}\n{wrong}")
                return 1
    for name, count in sorted(tried.items()):
        print(f"{count:>8} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
