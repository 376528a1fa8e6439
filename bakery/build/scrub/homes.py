"""Where people's and programs' homes are: told by passwd(5), and by the folders that hold homes."""

from collections.abc import Iterator

from bakery.build.scrub.tree import Tree
from bakery.build.scrub.unsearched import Unsearched
from bakery.host.errors import BakeryError
from bakery.image.reader import Reader

HOMES = ("/home", "/export/home")
ROOTS_HOME = "/root"
FIRST_PERSON = 1000
"""The least user ID of a person (login.defs(5), UID_MIN); those below are of programs."""
HOMES_LIMIT = 10_000
NOT_OF_THE_DISK = ("/dev/", "/proc/", "/run/", "/sys/")
# A home in a file (systemd-homed.service(8), LUKS home areas).
SEALED_HOME = ".home"


def find(reader: Reader, tree: Tree) -> tuple[tuple[str, ...], tuple[Unsearched, ...]]:
    """The homes of all users, and every folder where homes are, as well as the folders in those;
    and the homes that are files.

    A home may lie below a folder of its domain or its first letter (pam_mkhomedir(8), `%d/%u`).
    """
    users = list(_users(reader, tree))
    persons = [home.rpartition("/")[0] for uid, home in users if uid >= FIRST_PERSON]
    found = [ROOTS_HOME]
    sealed: list[Unsearched] = []
    for folder in dict.fromkeys([*HOMES, *filter(None, persons)]):
        sealed += _sealed(reader, tree, folder)
        for home in _below(reader, tree, folder):
            found += [home, *_below(reader, tree, home)]
            if len(found) > HOMES_LIMIT:
                raise BakeryError(f"{folder} holds more than {HOMES_LIMIT} folders of users")
    return tuple(dict.fromkeys([*found, *(home for _, home in users)])), tuple(sealed)


def _below(reader: Reader, tree: Tree, folder: str) -> list[str]:
    """The folders in a folder, of all that lies there."""
    names = {
        item.name
        for place in tree.places(folder)
        for item in reader.items(*place)
        if item.is_directory
    }
    return [f"{folder}/{name}" for name in sorted(names | tree.mounts_in(folder)) if name[0] != "."]


def _sealed(reader: Reader, tree: Tree, folder: str) -> Iterator[Unsearched]:
    for place in tree.places(folder):
        for item in reader.items(*place):
            if item.name.endswith(SEALED_HOME) and not item.is_directory:
                path = f"{folder}/{item.name}"
                reason = "is a home in a file (systemd-homed), which is not opened"
                yield Unsearched(path, path, f"{place.volume.name}:{place.path or '/'}", reason)


def _users(reader: Reader, tree: Tree) -> Iterator[tuple[int, str]]:
    """Each user's number and home, as passwd(5) has them; a home is a path of the system's own.

    Whether they can log in does not count: a program's user has keys as well.
    """
    etc = tree.place("/etc")
    for line in (reader.text(etc.volume, etc.path + "/passwd") or b"").splitlines():
        fields = line.decode("utf-8", "replace").split(":")
        if len(fields) != 7 or not fields[2].isdecimal():
            continue
        home = fields[5]
        usable = home.startswith("/") and home.isprintable() and ".." not in home.split("/")
        if usable and not f"{home}/".startswith(NOT_OF_THE_DISK):
            yield int(fields[2][:10]), home.rstrip("/")
