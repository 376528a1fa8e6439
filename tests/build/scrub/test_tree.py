"""Paths and the places they lie in."""

from bakery.build.scrub.tree import Tree, whole
from bakery.disk.volumes.volumes import Subvolume
from bakery.image.reader import Place
from tests.build.scrub.trees import volume

ROOT, HOME, DEEP = Place(volume(1), ""), Place(volume(2), ""), Place(volume(3), "")
TREE = Tree({"": (ROOT,), "/home": (HOME, DEEP), "/var/lib/a": (DEEP,)})


def at(base, path):
    return Place(base.volume, path)


def test_a_path_lies_where_the_innermost_mount_has_it_and_where_that_hides_it():
    assert TREE.places("/home/x") == (at(HOME, "/x"), at(DEEP, "/x"), at(ROOT, "/home/x"))
    assert TREE.places("/home") == (HOME, DEEP, at(ROOT, "/home"))
    assert TREE.place("/home/x") == at(HOME, "/x")
    assert TREE.places("/homes/x") == (at(ROOT, "/homes/x"),)
    assert TREE.places("") == (ROOT,)


def test_names_at_or_below_which_something_is_mounted():
    assert TREE.mounts_in("") == {"home", "var"}
    assert TREE.mounts_in("/var") == {"lib"}
    assert TREE.mounts_in("/home") == set()
    assert TREE.mounts_below("") == ["/home", "/var/lib/a"]
    assert TREE.mounts_below("/var") == ["/var/lib/a"]
    assert TREE.mounts_below("/ho") == TREE.mounts_below("/home") == []
    assert [TREE.point(path) for path in ("/home", "/home/a", "/var/lib", "")] == [
        *("/home", "/home", "", "")
    ]


def test_a_subvolumes_files_are_the_same_from_the_top_level():
    subvolume = Subvolume(256, "@/home")
    top = volume(1, "btrfs", subvolumes=(subvolume,))
    view = top.at(subvolume)
    assert whole(Place(view, "/a")) == whole(Place(top, "/@/home/a")) == ("/dev/sda1", "/@/home/a")
    tree = Tree({"": (Place(top, "/@"),), "/home": (Place(view, ""),)})
    assert tree.places("/home/a") == (Place(view, "/a"),)
