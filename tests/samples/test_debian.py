from pathlib import Path

import pytest

from bakery.samples import debian


def test_packages_that_conflict_with_dracut_are_taken_off_the_list(tmp_path):
    listed = tmp_path / "base"
    listed.write_text("dracut initramfs-tools initramfs-tools-core klibc-utils kmod libklibc\n")
    debian._drop_displaced(listed)
    assert listed.read_text() == "dracut kmod\n"


def test_mount_points_are_directories_even_where_a_container_made_links(tmp_path):
    (tmp_path / "proc").symlink_to("/proc")
    (tmp_path / "sys").mkdir()
    debian._make_mount_points(tmp_path)
    for name in ("proc", "sys", "dev", "run"):
        assert (tmp_path / name).is_dir()
        assert not (tmp_path / name).is_symlink()


def test_dpkg_is_told_what_to_leave_out(tmp_path):
    debian._write_dpkg_settings(tmp_path)
    lines = (tmp_path / debian.DPKG_SETTINGS).read_text().splitlines()
    assert "path-exclude=/usr/share/doc/*" in lines
    assert "path-exclude=/lib/modules/*/kernel/drivers/gpu/*" in lines
    assert f"path-exclude=/{debian.HOOK}" in lines


def test_the_kernels_version_is_the_name_of_its_modules(tmp_path):
    (tmp_path / "usr/lib/modules/6.1.0-1-amd64").mkdir(parents=True)
    assert debian.kernel_version(tmp_path) == "6.1.0-1-amd64"


@pytest.fixture
def machine(monkeypatch):
    """Programs are noted with their settings, not run; there is a mirror and a proxy."""
    calls = []

    def enclosed(argv, **words):
        calls.append((list(map(str, argv)), words))
        base = Path(argv[-2]) / "debootstrap/base"
        base.parent.mkdir(parents=True)
        base.write_text("kmod klibc-utils\n")

    monkeypatch.setattr(debian, "run_enclosed", enclosed)
    monkeypatch.setattr(debian, "machine_mirror", lambda suite: f"http://mirror/{suite}")
    monkeypatch.setattr(debian, "proxies", lambda: {"http_proxy": "http://proxy"})
    return calls


def test_the_first_stage_fetches_from_the_machines_mirror_and_prepares_the_second(
    tmp_path, machine
):
    debian.fetch(tmp_path)
    ((argv, words),) = machine
    assert argv[0] == "debootstrap"
    assert argv[-3:] == [debian.SUITE, str(tmp_path), f"http://mirror/{debian.SUITE}"]
    assert {"--foreign", "--force-check-gpg", "--variant=minbase"} < set(argv)
    assert f"--include={','.join(debian.INCLUDED)}" in argv
    assert words["env"] == {"http_proxy": "http://proxy"}
    assert (tmp_path / "debootstrap/base").read_text() == "kmod\n"
    assert (tmp_path / "proc").is_dir()
    lines = (tmp_path / debian.DPKG_SETTINGS).read_text().splitlines()
    assert lines[0] == "force-unsafe-io"


def test_the_second_stage_makes_no_initramfs_and_leaves_nothing_behind(tmp_path, monkeypatch):
    left = ("var/cache/apt/archives/a.deb", "var/lib/apt/lists/a_b", "usr/share/doc/a/copyright")
    kept = ("var/cache/apt/archives/lock", "var/lib/apt/lists/lock", "usr/share/zoneinfo/UTC")
    debian._write_dpkg_settings(tmp_path)
    for name in (*left, *kept, *(f"usr/share/{n}/a" for n in ("man", "info", "locale"))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    def inside(tree, argv, **_words):
        assert argv == ["/debootstrap/debootstrap", "--second-stage"]
        hook = tree / debian.HOOK
        assert hook.read_text() == "#!/bin/sh\n"  # in place of the one that calls dracut
        assert hook.stat().st_mode & 0o777 == 0o755

    monkeypatch.setattr(debian, "run_inside", inside)
    (tmp_path / debian.HOOK).parent.mkdir(parents=True)
    debian.unpack(tmp_path)
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == set(kept)
    (tmp_path / "usr/share/doc").rmdir()  # what was in it went, the folder stayed
