import errno
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.node.ramdisk import kernel


def install(root, version, *, image="boot/vmlinuz-{}", modules=True):
    folder = root / "lib/modules" / version
    folder.mkdir(parents=True)
    if modules:
        (folder / "modules.dep").write_text("")
    path = root / image.format(version)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(version.encode())
    return path


def test_the_newest_is_found_by_its_numbers(tmp_path):
    for version in ("6.1.0-9-amd64", "6.1.0-10-amd64", "5.10.0-30-amd64"):
        install(tmp_path, version)
    assert kernel.find(root=tmp_path).version == "6.1.0-10-amd64"


def test_a_version_can_be_asked_for(tmp_path):
    for version in ("6.1.0-9-amd64", "6.1.0-10-amd64"):
        install(tmp_path, version)
    assert kernel.find("6.1.0-9-amd64", tmp_path).image.read_bytes() == b"6.1.0-9-amd64"


def test_an_image_beside_its_modules_is_found(tmp_path):
    path = install(tmp_path, "6.5.6", image="lib/modules/{}/vmlinuz")
    assert kernel.find(root=tmp_path).image == path


def test_a_kernel_without_modules_does_not_count(tmp_path):
    install(tmp_path, "6.1.0-9-amd64")
    install(tmp_path, "6.9.0", modules=False)
    assert kernel.find(root=tmp_path).version == "6.1.0-9-amd64"


def test_digits_count_as_numbers_and_the_rest_as_text():
    versions = ["6.1.0-9", "6.1.0-10", "6.1.0-10-amd64", "6.10.0", "10.0.0"]
    assert sorted({*versions}, key=kernel.order) == versions


def test_an_image_in_boot_counts_before_one_beside_the_modules(tmp_path):
    path = install(tmp_path, "6.5.6")
    (tmp_path / "lib/modules/6.5.6/vmlinuz").write_bytes(b"")
    (found,) = kernel._installed(tmp_path)
    assert found == kernel.Kernel("6.5.6", path, tmp_path / "lib/modules/6.5.6")


def test_of_no_kernel_at_all_the_asked_for_one_is_missing_too(tmp_path):
    with pytest.raises(BakeryError, match=r"the kernel 6\.2 is not installed; there are: none"):
        kernel.find("6.2", tmp_path)


def test_a_version_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    install(tmp_path, "6.1.0-9-amd64")
    with pytest.raises(BakeryError, match=r"6\.2 is not installed; there are: 6\.1\.0-9-amd64"):
        kernel.find("6.2", tmp_path)


def test_no_kernel_is_told_with_the_way_to_one(tmp_path):
    with pytest.raises(BakeryError, match="no kernel") as caught:
        kernel.find(root=tmp_path)
    assert "linux-image-amd64" in caught.value.hint


def test_an_image_that_may_not_be_read_is_told_with_the_way_out(tmp_path, monkeypatch):
    def forbidden(self, mode):
        raise PermissionError(errno.EACCES, "Permission denied")

    install(tmp_path, "6.1")
    monkeypatch.setattr(Path, "open", forbidden)  # root, as who tests may run, reads everything
    with pytest.raises(BakeryError, match="cannot be read") as caught:
        kernel.find(root=tmp_path)
    assert "chmod a+r" in caught.value.hint
