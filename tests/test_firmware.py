import json

import pytest

from bakery.errors import BakeryError
from bakery.firmware import find_uefi, need_uefi


def descriptor(folder, name, *, features=(), device="flash", interface="uefi", exists=True):
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
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
        "features": list(features),
        "tags": [],
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


def test_without_firmware_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setattr("bakery.firmware.find_uefi", lambda: None)
    with pytest.raises(BakeryError) as caught:
        need_uefi()
    assert "ovmf" in caught.value.hint
