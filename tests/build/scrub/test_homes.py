"""Whose homes are where."""

import pytest

from bakery.build.scrub import homes
from bakery.build.scrub.tree import Tree
from bakery.host.errors import BakeryError
from bakery.image.reader import Place
from tests.build.scrub.trees import opened, volume

ROOT, HOME = volume(1), volume(2)
ALICE = "alice:x:1000:1000::/home/alice:/bin/bash\n"
TREE = Tree({"": (Place(ROOT, ""),)})


def found(files, tree=TREE, **more):
    reader, _ = opened({"/dev/sda1": files, **more}, ROOT, HOME)
    return homes.find(reader, tree)[0]


@pytest.mark.parametrize(
    ("line", "home"),
    [
        ("a:x:1:1::/home/a:/bin/sh", "/home/a"),
        ("a:x:1:1::/var/lib/a/:/bin/sh", "/var/lib/a"),
        ("a:x:1:1::/srv/a:", "/srv/a"),
        ("a:x:1:1::/opt/a:/usr/sbin/nologin", "/opt/a"),
        ("a:x:1:1::/home/a:/bin/false", "/home/a"),
        ("a:x:1:1::/:/bin/sh", ""),
        ("a:x:1:1::/home/a:/bin/sh:more", None),
        ("a:x:1:1::/home/a", None),
        ("a:x:b:1::/home/a:/bin/sh", None),
        ("a:x:1:1::home/a:/bin/sh", None),
        ("a:x:1:1::/run/sshd:/bin/sh", None),
        ("a:x:1:1::/dev:/bin/sh", None),
        ("a:x:1:1::/home/../etc:/bin/sh", None),
        ("a:x:1:1::/home/\x1b:/bin/sh", None),
    ],
)
def test_each_user_has_a_home_also_who_cannot_log_in(line, home):
    told = found({"etc/passwd": f"root:x:0:0::/root:/bin/sh\n{line}\n"})
    assert told == (("/root", home) if home is not None else ("/root",))


def test_every_folder_of_home_is_one_and_none_is_told_twice():
    tree = {"home/alice/x": "", "home/bob/x": "", "home/file": "", "etc/passwd": ALICE}
    assert found(tree) == ("/root", "/home/alice", "/home/bob")


def test_homes_may_lie_in_a_folder_of_their_domain():
    tree = {"home/example.org/carol/x": "", "home/example.org/.hidden/x": ""}
    assert found(tree) == ("/root", "/home/example.org", "/home/example.org/carol")


def test_where_one_person_has_a_home_others_have():
    users = "dora:x:1000:1000::/data/people/dora:/bin/sh\nweb:x:33:33::/srv/web:/bin/sh\n"
    tree = {"data/people/emil/x": "", "srv/other/x": "", "etc/passwd": users}
    assert found(tree) == ("/root", "/data/people/emil", "/data/people/dora", "/srv/web")


def test_homes_that_a_mount_hides_are_homes():
    mounts = Tree(TREE.mounts | {"/home": (Place(HOME, ""),), "/home/mounted": (Place(HOME, ""),)})
    more = {"/dev/sda2": {"bob/x": ""}}
    told = found({"home/alice/x": ""}, mounts, **more)
    assert told == ("/root", "/home/alice", "/home/bob", "/home/mounted", "/home/mounted/bob")


def test_a_home_in_a_file_is_told():
    reader, _ = opened({"/dev/sda1": {"home/eva.home": "1", "home/x.home/a": ""}}, ROOT)
    _, (sealed,) = homes.find(reader, TREE)
    assert (sealed.name, sealed.named_in) == ("/home/eva.home", "/dev/sda1:/home")
    assert "systemd-homed" in sealed.reason


def test_homes_without_end_are_refused():
    tree = {f"home/a/{number}/x": "" for number in range(homes.HOMES_LIMIT)}
    with pytest.raises(BakeryError, match="/home holds more than 10000 folders of users"):
        found(tree)
