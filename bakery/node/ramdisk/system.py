"""The system whose files go into the ramdisk: this machine's own, or one that lies in a folder."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakery.host import tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.run import Arg, Completed, run

OWN = Path("/")


@dataclass(frozen=True)
class System:
    """An installed system below `root`; its paths begin with a slash, as it sees them itself."""

    root: Path = OWN

    @property
    def scratch(self) -> Path | None:
        """Where its programs find temporary files, as this machine sees it; None: anywhere."""
        return None if self.root == OWN else self.root / "tmp"

    def place(self, path: Path) -> Path:
        """Where a path of the system lies on this machine, its links followed inside the system."""
        if self.root == OWN:
            return path
        followed = self.run(["readlink", "-f", path]).text.strip()
        return self.root / followed.lstrip("/")

    def inside(self, place: Path) -> Path:
        """The other way round: how the system sees a file of this machine that lies in it."""
        return OWN / place.relative_to(self.root)

    def need(self, program: str) -> Path:
        """Where the program is; MissingTool or BakeryError, with its package, where it is not."""
        if self.root == OWN:
            found = tools.find(program)
            if found is None:
                raise MissingTool(program, tools.install_hint([program]))
            return found
        for folder in tools.SYSTEM_PATHS:
            there = self.root / folder.lstrip("/") / program
            # What a link leads out to is this machine's; it is found under its other name.
            if there.resolve().is_relative_to(self.root) and os.access(there, os.X_OK):
                return self.inside(there)
        package = next((tool.deb for tool in tools.TOOLS if tool.program == program), program)
        raise BakeryError(
            f"the program '{program}' is not installed in {self.root}",
            f"install Debian's package {package} there",
        )

    def run(
        self, argv: Sequence[Arg], *, env: Mapping[str, str] | None = None, check: bool = True
    ) -> Completed:
        """Run one of its programs, which sees nothing but the system; as host.run.run does."""
        enter: list[Arg] = [] if self.root == OWN else ["chroot", self.root]
        return run([*enter, *argv], env=env, check=check, name=Path(str(argv[0])).name)


def system_in(root: Path) -> System:
    """The system in the folder `root`. Raises BakeryError where its programs could not be run."""
    if not root.is_dir():
        raise BakeryError(f"{root} is not a folder with a system in it")
    system = System(root.resolve())
    if system.root != OWN and os.geteuid() != 0:
        raise BakeryError(
            f"what is in {root} can only be read as root: chroot(2)", "run it with sudo"
        )
    return system
