import pytest

from bakery.devstack import settings
from bakery.devstack.host import GIB
from bakery.host.errors import BakeryError, UsageError
from tests.devstack.builds import a_build, a_setting


def test_a_disk_is_as_large_as_the_base_and_a_gibibyte_at_least_ten():
    for base, disk in [(9 * GIB, 10), (9 * GIB + 1, 11), (10 * GIB, 11), (1, 10)]:
        assert settings.node_disk_gib(a_build(base_bytes=base)) == disk
    exact = a_build(base_bytes=20 * GIB)
    assert a_setting(exact, "zed", disk_gib=20).node_disk_gib == 20
    with pytest.raises(BakeryError, match="does not fit on a disk of 19 GiB") as refused:
        a_setting(exact, "zed", disk_gib=19)
    assert refused.value.hint == "--disk 21 or more"


def test_what_is_asked_for_is_taken():
    made = a_setting(a_build(), "ZED", nodes=64, memory_mib=512, cpus=4, log_folder="/a/b.c")
    assert made == settings.Settings(
        release="zed",
        nodes=64,
        node_memory_mib=512,
        node_disk_gib=10,
        node_cpus=4,
        password="secret1",
        log_folder="/a/b.c",
        boot_mode="uefi",
    )


@pytest.mark.parametrize(
    ("fields", "told", "hint"),
    [
        ({"nodes": 65}, "--nodes '65'", "1 to 64"),
        ({"nodes": 0}, "--nodes '0'", "1 to 64"),
        ({"host_ip": "::1"}, "--host-ip '::1'", "an IPv4 address"),
        ({"host_ip": "1.2.3.4.5"}, "--host-ip", "an IPv4 address"),
        ({"log_folder": "/a/"}, "--log-folder '/a/'", "an absolute plain path"),
        ({"log_folder": "/a b"}, "--log-folder", "an absolute plain path"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_can(fields, told, hint):
    with pytest.raises(UsageError, match=told) as refused:
        a_setting(a_build(), "zed", **fields)
    assert refused.value.hint == f"it takes {hint}"


@pytest.mark.parametrize(
    ("firmware", "release", "mode"),
    [
        ((), "newton", ""),
        (("bios",), "newton", ""),
        (("bios", "uefi"), "newton", ""),
        ((), "ocata", "bios"),
        (("uefi",), "ocata", "uefi"),
        (("uefi", "bios"), "xena", "bios"),
        ((), "yoga", "uefi"),
        (("bios",), "yoga", "bios"),
    ],
)
def test_nodes_boot_by_what_the_image_does(firmware, release, mode):
    assert settings.boot_mode(a_build("disk", firmware=firmware), release) == mode


def test_before_ocata_nothing_boots_by_uefi():
    with pytest.raises(BakeryError, match="in Newton have BIOS") as refused:
        settings.boot_mode(a_build("disk", firmware=("uefi",)), "newton")
    assert "ocata" in refused.value.hint
