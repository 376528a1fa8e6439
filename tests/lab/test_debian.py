from bakery.lab import debian


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
