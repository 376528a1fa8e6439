from bakery.samples import initramfs


def test_it_is_made_inside_the_tree_for_its_kernel_and_any_machine(tmp_path, monkeypatch):
    calls = []

    def inside(tree, argv, **_words):
        calls.append(argv)
        made = tree / argv[-1].lstrip("/")
        made.write_bytes(b"initramfs")
        made.chmod(0o600)  # as dracut leaves it

    monkeypatch.setattr(initramfs, "run_inside", inside)
    (tmp_path / "usr/lib/modules/6.1.0-1-amd64").mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    initramfs.make_initramfs(tmp_path)
    (argv,) = calls
    assert (argv[0], argv[-1]) == ("dracut", "/boot/initrd.img-6.1.0-1-amd64")
    assert {"--no-hostonly", "--kver=6.1.0-1-amd64", "--kernel-cmdline=rd.auto=1"} < set(argv)
    assert (tmp_path / "boot/initrd.img-6.1.0-1-amd64").stat().st_mode & 0o777 == 0o644
