import pytest

from bakery.devstack import subject
from bakery.host.errors import BakeryError
from bakery.openstack.ironic import releases
from tests.devstack.builds import LARGE, a_build

PLUGIN = "[[local|localrc]]\nenable_plugin ironic url"


def read(folder, release="", **files):
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    name = "localrc" if "localrc" in files and "local_conf" not in files else "local.conf"
    return subject.read(folder / name, release, LARGE, None)


@pytest.mark.parametrize(
    ("text", "release", "known"),
    [
        ("", "", releases.NEWEST),
        ("", "Yoga", "yoga"),
        (f"{PLUGIN} stable/zed", "", "zed"),
        (f"{PLUGIN} stable/zed", "yoga", "yoga"),
        (f"{PLUGIN} mine", "", releases.NEWEST),
        (PLUGIN, "", releases.NEWEST),
        (f"{PLUGIN}\nenable_plugin ironic url stable/zed", "", "zed"),
    ],
)
def test_the_release_is_the_one_asked_for_or_the_plugins(tmp_path, text, release, known):
    assert read(tmp_path, release, local_conf=text).release == known


def test_a_release_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(BakeryError, match="there is no OpenStack release 'none'"):
        read(tmp_path, "none", local_conf="")


def test_a_localrc_is_read_with_the_file_beside_it(tmp_path):
    alone = read(tmp_path, localrc="A=1")
    assert (alone.localrc.text("A"), alone.document.first_lines) == ("1", 1)
    assert alone.beside == {"localrc"}
    conf = "[[extra|/a]]\n[[local|localrc]]\nA=2"
    (tmp_path / "local.conf").write_text(conf)
    pair = subject.read(tmp_path / "localrc", "", LARGE, None)
    assert pair.localrc.text("A") == "1"
    assert [one.phase for one in pair.document.sections] == ["local", "extra"]


def test_a_local_conf_takes_the_localrc_only_where_it_has_none(tmp_path):
    own = read(tmp_path, localrc="A=1", local_conf="[[local|localrc]]\nA=2")
    assert (own.localrc.text("A"), own.document.first_lines) == ("2", 0)
    other = read(tmp_path, localrc="A=1", local_conf="[[extra|/a]]")
    assert (other.localrc.text("A"), other.document.first_lines) == ("1", 1)
    (tmp_path / "other.conf").write_text("[[extra|/a]]")
    named = subject.read(tmp_path / "other.conf", "", LARGE, a_build())
    assert (named.localrc.text("A"), named.build) == ("", a_build())
