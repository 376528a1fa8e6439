"""The way of a BIOS: the code in the first sector, and what that comes to."""

from bakery.image.boot.menus import Menus, Reached, taken_for_granted

PROGRAM = "the code in the first sector"


def ways(menus: Menus) -> list[Reached]:
    """What a BIOS comes to; nothing where the first sector holds no code."""
    if not menus.reader.survey.boot_code:
        return []
    return [
        taken_for_granted("bios", PROGRAM, menus.of_boot("pc"), f"{PROGRAM} is no loader known")
    ]
