import json

import pytest

from bakery.host.errors import BakeryError
from bakery.vm.board import AARCH64
from bakery.vm.firmware import find_uefi, need_uefi

Q35 = {"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}


def descriptor(
    folder, name, *, features=(), device="flash", interface="uefi", exists=True, **other
):
    """Write a descriptor as a firmware package installs one; answers the code's path."""
    folder.mkdir(exist_ok=True)
    code, variables = folder / f"{name}.code", folder / f"{name}.vars"
    if exists:
        code.write_bytes(b"code")
        variables.write_bytes(b"vars")
    content = {
        "description": "for a test",
        "interface-types": [interface],
        "mapping": {
            "device": device,
            "executable": {"filename": str(code), "format": "raw"},
            "nvram-template": {"filename": str(variables), "format": "raw"},
        },
        "targets": [Q35],
        "features": list(features),
        "tags": [],
        **other,
    }
    (folder / f"{name}.json").write_text(json.dumps(content))
    return code


def test_the_first_plain_uefi_is_taken(tmp_path):
    descriptor(tmp_path, "40-enrolled", features=["secure-boot", "requires-smm", "enrolled-keys"])
    descriptor(tmp_path, "50-bios", interface="bios", device="memory")
    descriptor(tmp_path, "55-gone", exists=False)
    wanted = descriptor(tmp_path, "60-plain", features=["acpi-s3"])
    descriptor(tmp_path, "70-later")
    found = find_uefi((tmp_path,))
    assert found is not None
    assert found.code.path == wanted
    assert found.variables.path.read_bytes() == b"vars"


def test_a_file_of_the_administrator_hides_the_packages_own(tmp_path):
    descriptor(tmp_path / "share", "60-plain")
    wanted = descriptor(tmp_path / "etc", "60-plain")
    found = find_uefi((tmp_path / "etc", tmp_path / "share"))
    assert found is not None
    assert found.code.path == wanted
    (tmp_path / "etc" / "60-plain.json").write_bytes(b"")
    assert find_uefi((tmp_path / "etc", tmp_path / "share")) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"interface-types": 3}'])
def test_a_descriptor_that_cannot_be_read_is_passed_over(tmp_path, content):
    (tmp_path / "10-broken.json").write_text(content)
    wanted = descriptor(tmp_path, "60-plain")
    found = find_uefi((tmp_path,))
    assert found is not None
    assert found.code.path == wanted


@pytest.mark.parametrize(
    "other",
    [
        {"targets": [{"architecture": "aarch64", "machines": ["pc-q35-*"]}]},
        {"targets": [{"architecture": "x86_64", "machines": ["microvm", "pc-q35-2.*"]}]},
        {"targets": []},
        {"interface-types": ["bios"]},
        {"mapping": {"device": "memory", "executable": {"filename": "/bin/sh"}}},
        {"mapping": {"device": "flash", "executable": {"filename": "/bin/sh"}}},
        {"mapping": {"device": "flash", "nvram-template": {"filename": "/bin/sh"}}},
        {"features": ["acpi-s3", "amd-sev-snp"]},
    ],
)
def test_firmware_for_another_machine_is_passed_over(tmp_path, other):
    descriptor(tmp_path, "10-other", **other)
    assert find_uefi((tmp_path,)) is None


def test_firmware_for_other_machines_too_is_taken(tmp_path):
    other = {"architecture": "aarch64", "machines": ["virt-*"]}
    wanted = descriptor(tmp_path, "10", targets=[other, Q35], **{"interface-types": ["x", "uefi"]})
    assert need_uefi((tmp_path / "none", tmp_path)).code.path == wanted


def test_firmware_is_found_for_the_board_that_is_asked_for(tmp_path):
    descriptor(tmp_path, "10-x86")
    arm = {"architecture": "aarch64", "machines": ["virt-*"]}
    wanted = descriptor(tmp_path, "20-arm", targets=[arm])
    found = find_uefi((tmp_path,), AARCH64)
    assert found is not None and found.code.path == wanted
    with pytest.raises(BakeryError, match="aarch64") as caught:
        need_uefi((tmp_path / "none",), AARCH64)
    assert "qemu-efi-aarch64" in caught.value.hint


@pytest.mark.parametrize("gone", ["code", "vars"])
def test_firmware_whose_files_are_gone_is_passed_over(tmp_path, gone):
    descriptor(tmp_path, "10")
    (tmp_path / f"10.{gone}").unlink()
    assert find_uefi((tmp_path,)) is None


def test_without_firmware_the_way_to_it_is_told(tmp_path):
    with pytest.raises(BakeryError) as caught:
        need_uefi((tmp_path,))
    assert "ovmf" in caught.value.hint
