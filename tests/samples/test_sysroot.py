from bakery.samples.sysroot import parse_entry, read_deployments

ENTRY = """\
title Debian GNU/Linux 12 (bookworm) {version} (ostree:0)
version {version}
options console=ttyS0 root=/dev/mapper/atomicos-root \
ostree=/ostree/boot.1/fedora-atomic/{csum}/{index}
linux /ostree/fedora-atomic-{csum}/vmlinuz-6.1.0-1-amd64
initrd /ostree/fedora-atomic-{csum}/initramfs-6.1.0-1-amd64.img
"""


def write_deployment(root, version, csum, name, index=0):
    entries = root / "boot/loader/entries"
    entries.mkdir(parents=True, exist_ok=True)
    (entries / f"ostree-{version}-fedora-atomic.conf").write_text(
        ENTRY.format(version=version, csum=csum, index=index)
    )
    deployment = root / "ostree/deploy/fedora-atomic/deploy" / name
    deployment.mkdir(parents=True)
    link = root / "ostree/boot.1/fedora-atomic" / csum / str(index)
    link.parent.mkdir(parents=True)
    link.symlink_to(f"../../../deploy/fedora-atomic/deploy/{name}")


def test_an_entrys_fields_are_words_and_the_rest_of_the_line():
    assert parse_entry("title  A B\n\nversion 2\n") == {"title": "A B", "version": "2"}


def test_the_deployment_of_the_highest_version_comes_first(tmp_path):
    write_deployment(tmp_path, 2, "b" * 64, "c2" * 32 + ".1")
    write_deployment(tmp_path, 10, "a" * 64, "c1" * 32 + ".0")
    newest, older = read_deployments(tmp_path)
    assert (newest.bls_id, newest.bootcsum, newest.serial) == (
        "ostree-10-fedora-atomic",
        "a" * 64,
        0,
    )
    assert (older.checksum, older.serial) == ("c2" * 32, 1)
    assert newest.kernel_args[1] == "root=/dev/mapper/atomicos-root"
