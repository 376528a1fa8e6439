"""Where programs are looked for, and what installs those that are missing."""

import pytest

from bakery.host import tools


def test_the_callers_own_folders_come_first_and_the_system_folders_are_there(monkeypatch):
    monkeypatch.setenv("PATH", "/mine::/usr/bin:/mine")
    assert tools.search_path() == (
        "/mine:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/bin"
    )
    monkeypatch.delenv("PATH")
    assert tools.search_path() == ":".join(tools.SYSTEM_PATHS)


def test_a_program_is_the_first_that_can_be_run(tmp_path, monkeypatch):
    for folder, mode in (("a", 0o644), ("b", 0o755), ("c", 0o755)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "prog").touch(mode)
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / folder) for folder in "abc"))
    assert tools.find("prog") == tmp_path / "b/prog"
    assert tools.find("no-such-program") is None
    assert tools.missing(["prog", "no-such-program"]) == ["no-such-program"]


@pytest.mark.parametrize(
    ("there", "line"),
    [
        ({"dnf"}, "sudo dnf install qemu-img util-linux"),
        ({"apt-get"}, "sudo apt-get install fdisk qemu-utils"),
        ({"dnf", "apt-get"}, "sudo apt-get install fdisk qemu-utils"),
        (set(), "sudo apt-get install fdisk qemu-utils"),
    ],
)
def test_each_package_is_named_once_for_the_machines_own_manager(monkeypatch, there, line):
    monkeypatch.setattr(tools, "find", lambda program: program if program in there else None)
    programs = iter(["sfdisk", "qemu-nbd", "qemu-img", "no-such-program"])
    assert tools.install_hint(programs) == line
    assert tools.has_dnf_alone() == (there == {"dnf"})


def test_what_no_package_is_known_for_has_no_hint():
    assert tools.install_hint(["no-such-program"]) == ""
    assert tools.install_hint([]) == ""


def test_every_tool_is_listed_once_and_says_what_it_is_for():
    names = [tool.program for tool in tools.TOOLS]
    assert len(names) == len(set(names))
    assert all(tool.deb and tool.rpm and tool.why for tool in tools.TOOLS)
