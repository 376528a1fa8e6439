"""docs/images.md: what becomes of which image, made from the table that the tests go by.

`python -m tests.real.page` writes it; tests/real/test_page.py holds it against the table.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bakery.samples.facts import layouts_of
from bakery.samples.variants import VARIANTS, Variant
from tests.real.systems import NO_LVM, SYSTEMS, Outcome, Proved, System

PAGE = Path(__file__).resolve().parents[2] / "docs/images.md"

HEADER = """\
# Which images become what

bakery is held against images laid out as others lay theirs out. This page is made from the table
that those tests go by (`tests/real/systems.py`, by `python -m tests.real.page`): it cannot say what
they do not.

- **proved**: built, and booted to a login; Debian in others' layouts is found in good health there
  (`systemctl is-system-running`);
- **refused**: `bakery inspect` says why not, in the words shown, and `bakery build` stops with them
  before anything is made;
- a combination that the tables do not have is **untried**.

`lv` is the root filesystem alone, `pv` the partition that is an LVM physical volume, `disk` the
whole disk ([the layouts](architecture.md#layouts)).

## Others' layouts

Each is Debian's userland as another installer or image builder would have put it on a disk.

"""
BUILDERS = """
## Others' builders

Programs of Debian's archive make these, by their own examples or defaults.

"""
SAMPLES = """
## bakery's own samples

`bakery lab image` makes them; `tests/e2e/test_build.py` builds and boots each.

"""
COMBINATIONS = """
## Loaders and root filesystems

What has been proved as `lv` or as `disk` anywhere above.

"""
FOOTER = """
Architectures proved: {architectures}.
"""


def page() -> str:
    """The whole page."""
    return "".join(
        (
            HEADER,
            table(systems_of(from_a_builder=False)),
            BUILDERS,
            table(systems_of(from_a_builder=True)),
            SAMPLES,
            sample_table(),
            COMBINATIONS,
            combinations(),
            FOOTER.format(architectures=", ".join(sorted(architectures()))),
        )
    )


def systems_of(*, from_a_builder: bool) -> dict[str, System]:
    """The systems that a builder makes, or those that the tests lay out themselves."""
    return {name: one for name, one in SYSTEMS.items() if bool(one.builder) == from_a_builder}


def table(systems: dict[str, System]) -> str:
    """A row for each system."""
    rows = (
        (
            f"`{name}`: {system.about}",
            system.architecture,
            system.table,
            system.loader,
            system.root,
            *map(cell, (system.pv, system.lv, system.disk)),
        )
        for name, system in systems.items()
    )
    titles = ("image", "machine", "partition table", "boot loader", "root", "pv", "lv", "disk")
    return markdown(titles, rows)


def cell(outcome: Outcome) -> str:
    """An outcome in few words."""
    return "no LVM" if outcome == NO_LVM else str(outcome)


def sample_table() -> str:
    """A row for each sample."""
    rows = (
        (
            f"`{variant.name}`: {variant.about}",
            variant.architecture,
            "GPT" if variant.firmware == "uefi" else "MBR",
            loader_of(variant),
            root_of(variant),
            ", ".join(layouts_of(variant)),
        )
        for variant in VARIANTS
    )
    return markdown(("sample", "machine", "partition table", "boot loader", "root", "proved"), rows)


def loader_of(variant: Variant) -> str:
    """What starts a sample, and the form of its menu."""
    return "GRUB, BLS" if variant.stateroot else "GRUB"


def root_of(variant: Variant) -> str:
    """A sample's root filesystem."""
    return variant.root_filesystem + (" on LVM" if variant.lvm else "")


def combinations() -> str:
    """Loaders against root filesystems: the layouts proved of each pair."""
    proved: dict[tuple[str, str], set[str]] = {}
    for system in SYSTEMS.values():
        for layout, outcome in system.outcomes.items():
            if isinstance(outcome, Proved):
                proved.setdefault((system.loader, system.root), set()).add(layout)
    for variant in VARIANTS:
        proved.setdefault((loader_of(variant), root_of(variant)), set()).update(layouts_of(variant))
    roots = sorted({root for _, root in proved})
    rows = (
        (loader, *(", ".join(sorted(proved.get((loader, root), {"untried"}))) for root in roots))
        for loader in sorted({loader for loader, _ in proved})
    )
    return markdown(("boot loader", *roots), rows)


def architectures() -> set[str]:
    """Every machine that something of the tables boots on."""
    of_samples = {variant.architecture for variant in VARIANTS}
    return of_samples | {system.architecture for system in SYSTEMS.values()}


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
