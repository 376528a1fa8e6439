import pytest

from bakery.host.errors import BakeryError
from bakery.samples import apt_source
from bakery.samples.apt_source import IndexTarget, choose, parse_targets, resolve

LISTED = """\
Debian|bookworm-security|main|http://mirror.example/debian-security/
Vendor|bookworm|main|http://vendor.example/apt/
Debian|trixie|main|http://mirror.example/debian-next/
Debian|bookworm|contrib|http://mirror.example/contrib/
Debian|bookworm|main|http://mirror.example/debian/
"""


def test_the_release_itself_is_chosen_before_any_other_source():
    assert choose(parse_targets(LISTED), "bookworm") == "http://mirror.example/debian/"


def test_another_release_of_debian_will_do():
    assert choose(parse_targets(LISTED), "forky") in {
        "http://mirror.example/debian-next/",
        "http://mirror.example/debian/",
    }


def test_a_machine_without_debian_has_no_mirror():
    assert (
        choose([IndexTarget("Vendor", "bookworm", "main", "http://vendor.example/")], "bookworm")
        is None
    )


def test_a_mirror_list_stands_for_its_first_address(tmp_path):
    listed = tmp_path / "debian.list"
    listed.write_text("https://first.example/debian\nhttps://second.example/debian\n")
    assert resolve(f"mirror+file:{listed}/") == "https://first.example/debian"
    assert resolve(f"mirror+file:{tmp_path}/absent") is None


@pytest.mark.parametrize("uri", ["cdrom:[Debian]/", "tor+http://x.example/", ""])
def test_what_debootstrap_cannot_fetch_from_is_left_aside(uri):
    assert resolve(uri) is None


def test_proxies_of_apt_become_the_environment(monkeypatch):
    class Printed:
        text = "http_proxy='http://proxy.example:3142'\nhttps_proxy='DIRECT'\n"

    monkeypatch.setattr(apt_source, "run", lambda _argv: Printed())
    assert apt_source.proxies() == {"http_proxy": "http://proxy.example:3142"}


def test_the_mirror_is_the_one_that_apt_lists(monkeypatch):
    argv = []

    class Printed:
        text = LISTED

    def run(words):
        argv.extend(words)
        return Printed()

    monkeypatch.setattr(apt_source, "run", run)
    assert apt_source.machine_mirror("bookworm") == "http://mirror.example/debian/"
    assert argv == [
        *("apt-get", "indextargets", "--format", apt_source.FORMAT, "Created-By: Packages")
    ]
    Printed.text = "no line\na|b|c\n"
    with pytest.raises(BakeryError, match="no Debian mirror") as refused:
        apt_source.machine_mirror("bookworm")
    assert "apt-get update" in refused.value.hint


def test_update_suites_are_no_mirror():
    assert choose(parse_targets(LISTED.splitlines()[0]), "bookworm-security") is None


def test_an_empty_list_of_mirrors_is_none(tmp_path):
    (tmp_path / "list").write_text("\n")
    assert resolve(f"mirror+file:{tmp_path}/list") is None
