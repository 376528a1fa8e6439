import pytest

from bakery.devstack import nodes
from bakery.devstack.host import GIB, Host
from tests.devstack.builds import a_build
from tests.devstack.subjects import hints, subject, told


@pytest.mark.parametrize("value", ["True", "yes", "1", "TRUE"])
def test_nodes_are_made_where_it_says_so(value):
    text = f"IRONIC_BAREMETAL_BASIC_OPS={value}"
    assert told(nodes.made, subject(localrc=text)) == []


def test_nodes_are_not_made_by_themselves():
    assert told(nodes.made, subject()) == [("no-nodes", 0)]
    found = subject(localrc="\nIRONIC_BAREMETAL_BASIC_OPS=no")
    assert told(nodes.made, found) == [("no-nodes", 2)]


@pytest.mark.parametrize("value", ["0", "x", "٣", "1.5", '""'])
def test_a_size_is_a_number(value):
    found = subject(localrc=f"\nIRONIC_VM_SPECS_RAM={value}")
    (finding,) = nodes.sizes(found)
    assert (finding.rule, finding.line, finding.level) == ("number", 2, "error")
    assert finding.message.startswith("IRONIC_VM_SPECS_RAM is not a number: ")


def test_sizes_have_the_releases_defaults():
    small = Host(10 * GIB)
    (finding,) = nodes.sizes(subject(release="train", host=small))
    assert (finding.level, finding.line) == ("warning", 0)
    assert "the machine has 10.0 GiB; even" in finding.message  # 1280 MiB leave enough
    (finding,) = nodes.sizes(subject(release="victoria", host=small))
    assert finding.message.startswith("1 node of 3072 MiB needs 3.0 GiB")
    (finding,) = nodes.sizes(subject(localrc="IRONIC_VM_COUNT=4", host=small))
    assert (finding.level, finding.line) == ("error", 1)
    assert "IRONIC_VM_COUNT" in finding.hint
    assert told(nodes.sizes, subject(localrc="IRONIC_IS_HARDWARE=Yes", host=Host(1))) == []


def test_the_base_fits_on_the_disk_or_a_size_is_told():
    exact = a_build(base_bytes=10 * GIB)
    assert told(nodes.sizes, subject(build=exact)) == []
    larger = a_build(base_bytes=10 * GIB + 1)
    found = subject(localrc="A=1\nIRONIC_VM_SPECS_DISK=10", build=larger)
    (finding,) = nodes.sizes(found)
    assert (finding.rule, finding.line) == ("disk", 2)
    assert finding.message == f"the base has {10 * GIB + 1} bytes, too many for a disk of 10 GiB"
    assert finding.hint == "IRONIC_VM_SPECS_DISK=12"
    assert told(nodes.sizes, subject(localrc="IRONIC_VM_SPECS_DISK=11", build=larger)) == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, None),
        ("IRONIC_VM_LOG_DIR=/var/consoles", 0, None),
        ("DEST=/opt/stack", 0, None),
        ("DEST=/tmp", 0, None),  # a folder of the plugin's own below it is what is emptied
        ("\nDEST=/home/stack", 2, "libvirt's own user cannot write the nodes' consoles below /ho"),
        ("DEST=/home/stack\nIRONIC_VM_LOG_DIR=/var/consoles", 0, None),
        ("\nIRONIC_VM_LOG_DIR=/root/x", 2, "libvirt's own user"),
        ("IRONIC_VM_LOG_DIR=/rooty", 0, None),
        ("IRONIC_VM_LOG_DIR=~/x", 1, "libvirt's own user"),
        ("IRONIC_VM_LOG_DIR=$HOME/x", 1, "libvirt's own user"),
        ("IRONIC_VM_LOG_DIR=${HOME}/x", 1, "libvirt's own user"),
        ("\n\nIRONIC_VM_LOG_DIR=/var/log/", 3, "stack.sh deletes everything in /var/log/"),
        ("IRONIC_VM_LOG_DIR=/opt/stack", 1, "stack.sh deletes everything in /opt/stack"),
    ],
)
def test_consoles_lie_where_libvirt_can_write_and_nothing_else_lies(text, line, message):
    found = list(nodes.consoles(subject(localrc=text or "#")))
    if message is None:
        assert found == []
        return
    (finding,) = found
    assert (finding.rule, finding.line) == ("console-folder", line)
    assert finding.message.startswith(message)
    assert finding.hint == "IRONIC_VM_LOG_DIR=/opt/stack/ironic-bm-logs"


@pytest.mark.parametrize(
    ("text", "release", "firmware", "found"),
    [
        ("#", "xena", ("bios",), []),
        ("#", "xena", ("uefi",), ["the nodes boot by bios, the image by uefi"]),
        ("#", "yoga", ("bios",), ["the nodes boot by uefi, the image by bios"]),
        ("#", "yoga", ("bios", "uefi"), []),
        ("#", "yoga", (), []),
        ("IRONIC_BOOT_MODE=bios", "yoga", ("bios",), []),
        ("IRONIC_BOOT_MODE=efi", "yoga", (), ["IRONIC_BOOT_MODE must be bios or uefi, not 'efi'"]),
        (
            "IRONIC_BOOT_MODE=uefi",
            "newton",
            ("bios",),
            ["devstack reads IRONIC_BOOT_MODE only from Ocata on"],
        ),
        ("IRONIC_BOOT_MODE=uefi", "ocata", ("uefi",), []),
    ],
)
def test_nodes_and_image_boot_alike(text, release, firmware, found):
    about = subject(localrc=text, release=release, build=a_build("disk", firmware=firmware))
    assert [one.message for one in nodes.firmware(about)] == found
    assert {one.rule for one in nodes.firmware(about)} <= {"boot-mode"}


def test_the_way_out_is_what_the_image_boots_by():
    about = subject(localrc="\nIRONIC_BOOT_MODE=bios", build=a_build("disk", firmware=("uefi",)))
    assert hints(nodes.firmware, about) == ["IRONIC_BOOT_MODE=uefi"]
    assert told(nodes.firmware, about) == [("boot-mode", 2)]


def test_glance_has_room_for_the_build():
    mib = 1 << 20
    small, large = (a_build("disk", base_bytes=n * mib) for n in (999, 1000))
    assert sum(one.size_bytes for one in large.artifacts.values()) > 1000 * mib
    assert told(nodes.glance, subject(build=small)) == []
    assert told(nodes.glance, subject(build=large)) == [("glance-limit", 0)]
    assert told(nodes.glance, subject(build=large, release="xena")) == [("glance-limit", 0)]
    assert told(nodes.glance, subject(build=large, release="wallaby")) == []
    assert told(nodes.glance, subject()) == []
    set_to = subject(localrc="\nGLANCE_LIMIT_IMAGE_SIZE_TOTAL=1000", build=large)
    (finding,) = nodes.glance(set_to)
    assert (finding.line, finding.hint) == (2, "GLANCE_LIMIT_IMAGE_SIZE_TOTAL=3001")
    enough = subject(localrc="GLANCE_LIMIT_IMAGE_SIZE_TOTAL=1001", build=large)
    assert told(nodes.glance, enough) == []
    unknown = subject(localrc="GLANCE_LIMIT_IMAGE_SIZE_TOTAL=x", build=large)
    assert told(nodes.glance, unknown) == []
