"""What is asked of a build, by a recipe or by options."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.build.spec import Options

if TYPE_CHECKING:
    from bakery.openstack.glance.target import Target

SUFFIX = ".toml"


@dataclass(frozen=True)
class Asked:
    """The image, the folder of the build, how it is built, and where it can be published."""

    image: Path
    output: Path
    options: Options
    publish: tuple["Target", ...] = ()


def is_recipe(path: Path) -> bool:
    """Whether a path names a recipe: its name alone tells, an image has no such name."""
    return path.suffix == SUFFIX
