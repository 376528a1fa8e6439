"""What is fuzzed: each parser of bakery with a real input, by where the bytes come from."""

from pathlib import Path

from tests.fuzz import bmcs, boot_programs, clouds, files, images, menus, programs, systems, wire
from tests.fuzz.target import Target


def targets(work: Path) -> list[Target]:
    """Every parser of bytes from outside; `work` is an empty folder for scratch."""
    places = (images, systems, boot_programs, menus, programs, wire, files, clouds, bmcs)
    return [target for place in places for target in place.targets(work)]
