"""What a cloud's services answer, and the files that describe its nodes."""

import base64
import contextlib
import gzip
import json
from pathlib import Path
from unittest import mock

import msgspec

from bakery.conductor import rack_site
from bakery.host.errors import BakeryError
from bakery.host.run import Completed
from bakery.manifest import manifest
from bakery.openstack.connection import json_of, plain
from bakery.openstack.glance import embedded, handover, health, images, pulse, rbd, records
from bakery.openstack.glance.find import Published
from bakery.openstack.ironic import (
    answers,
    config_drive,
    document,
    nodes_file,
    params,
    passwords,
    root_device,
    session,
    validate,
)
from bakery.system import kargs
from tests.fuzz.files import MANIFEST
from tests.fuzz.target import Target, in_file, text

RACK_YAML = b"""nodes:
- name: r1
  driver: ipmi
  driver_info: {ipmi_address: 10.0.0.1, ipmi_password: "${HOME}", ipmi_port: 623}
  properties: {cpu_arch: x86_64, serial_number: S1, root_device: {size: ">= 1"}}
  ports: [{address: "52:54:00:00:00:01"}]
- {name: r1, driver: redfish, driver_info: {redfish_address: a, redfish_verify_ca: "false"}}
"""
STORES = b'[{"id": "a", "mountpoint": "/srv/glance"}, {"id": "b", "mountpoint": "/srv/b"}]'
IMAGE = """{"id": "7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10", "status": "active", "name": "tiny",
"size": 4096, "disk_format": "ami", "os_hidden": false, "os_hash_algo": "sha512",
"kernel_id": "0f6a1c9e-58a1-5f6b-8c11-5a3f5d6b7c88", "bakery_role": "base", "min_disk": 1,
"locations": [{"url": "file:///srv/glance/7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10",
"metadata": {"id": "a", "mountpoint": "/srv/glance"}}]}"""
NODES_YAML = b"""nodes:
  - &one
    name: one
    driver: ipmi
    resource_class: baremetal
    driver_info: {ipmi_address: 10.0.0.1, ipmi_port: 623, ipmi_password: secret}
    properties:
      cpus: 4
      memory_mb: "4096"
      capabilities: "boot_mode:uefi,profile:compute"
      root_device: {size: ">= 100", model: "<or> a <or> b", rotational: false}
    traits: [HW_CPU_X86_VMX, CUSTOM_GPU]
    ports:
      - address: 52:54:00:AA:BB:CC
        pxe_enabled: true
        local_link_connection: {switch_id: "00:11:22:33:44:55", port_id: eth0}
  - {<<: *one, name: two, ports: [], driver: redfish}
"""
INSTACKENV = json.dumps(
    {
        "nodes": [
            {
                "pm_type": "ipmi",
                "pm_addr": "10.0.0.1",
                "pm_user": "admin",
                "pm_password": "secret",
                "pm_port": "623",
                "cpu": "4",
                "memory": "4096",
                "disk": "40",
                "arch": "x86_64",
                "capabilities": "boot_option:local",
                "mac": ["52:54:00:aa:bb:cc"],
            }
        ]
    }
).encode()
LOCATIONS = b'[{"url": "rbd://f/pool/a/snap", "metadata": {"store": "ceph"}}]'
SNAPSHOTS = b'[{"id": 4, "name": "snap", "size": 1048576, "protected": "true"}]'
ARGS = b'root=UUID=1 ro quiet console=ttyS0,115200n8 dyndbg="file a" ostree=/ostree/boot.1/a'
NODE = b"""{"uuid": "1be26c0b-03f2-4d2e-ae87-c02d7f33c123", "name": "one",
"traits": ["HW_CPU_X86_VMX"], "provision_state": "available",
"maintenance": false, "boot_interface": "ilo-virtual-media",
"driver_info": {"ipmi_password": "******"}, "properties": {"cpu_arch": "x86_64", "local_gb": "40",
"root_device": {"size": ">= 100", "wwn": "0x5000"}, "capabilities": "boot_mode:uefi"},
"instance_info": {"root_device": null, "configdrive": "******"}, "last_error": "<b>no</b>",
"disks": [{"name": "/dev/sda", "size": 214748364800, "rotational": true, "wwn": "0x5000"}],
"nodes": [{"uuid": "a"}], "enabled_boot_interfaces": ["pxe"], "state": "error"}"""
PUBLISHED = Published(
    records.Image(id="a", status="active"), MANIFEST, manifest.decode(MANIFEST, "fuzz"), ()
)
REFUSAL = json.dumps({"error_message": json.dumps({"faultstring": "Node is locked"})}).encode()


def targets(work: Path) -> list[Target]:
    """All of them; `work` is a folder for scratch."""
    yaml, other = work / "nodes.yaml", work / "nodes.json"
    drive = gzip.compress(b"config-2" * 100)
    return [
        Target("nodes file", in_file(yaml, nodes_file.read), NODES_YAML),
        Target("nodes file of a rack", in_file(work / "rack.yaml", _of_a_rack), RACK_YAML),
        Target("instackenv.json", in_file(other, nodes_file.read), INSTACKENV),
        Target("YAML", in_file(yaml, document.load), NODES_YAML),
        Target(
            "config drive", in_file(work / "drive", config_drive.packed), base64.b64encode(drive)
        ),
        Target("image record", _image, IMAGE.encode()),
        Target("locations of an image", _locations, LOCATIONS),
        Target(
            "progress of an image",
            lambda d: pulse.sent_bytes(_image_sent(text(d))),
            b"1048576 7 whole",
        ),
        Target("name of an image", _of_the_name, b"fedora-atomic @ 1/2"),
        Target("rbd's snapshots", _snapshot, SNAPSHOTS),
        Target("arguments for a cloud", _forms, ARGS),
        Target("embedded manifest", _unpacked, json.dumps(embedded.pack(MANIFEST)).encode()),
        Target("store metadata", in_file(work / "store.json", handover.stores), STORES),
        Target("node of a cloud", _node, NODE),
        Target("answer of a service", lambda d: json_of(d, "x", "image service"), IMAGE.encode()),
        Target("refusal of a service", lambda d: (session._refusal(d), plain(text(d))), REFUSAL),
    ]


def _of_a_rack(file: Path) -> object:
    """The file checked, its faults with their lines, and what needs no password."""
    fleet, _ = rack_site.checked(file)
    lines = [fleet.lines.of(*problem.place) for problem in fleet.problems.found]
    nodes = [passwords._from_environment(fleet.problems, node) for node in fleet.nodes]
    return lines, nodes


def _object(data: bytes) -> dict[str, object] | None:
    """The JSON object in an answer, as the services' clients get it."""
    answer = json_of(data, "an answer", "service")
    return answer if isinstance(answer, dict) else None


def _unpacked(data: bytes) -> object:
    answer = _object(data)
    try:
        properties = msgspec.convert(answer, dict[str, str])
    except msgspec.ValidationError:
        return None
    return embedded.names(properties), embedded.unpack(properties)


class _Service(images.Images):
    """An image service that answers by these bytes."""

    def __init__(self, data: bytes) -> None:
        self.project, self._data = "", data

    def get(self, image_id: str) -> records.Image:
        return records.Image(id=image_id, status="active")

    def _ask(self, *_words: object, **_options: object) -> object:
        return json_of(self._data, "an answer", "image service")


def _locations(data: bytes) -> object:
    return _Service(data).locations("7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10")


def _image_sent(words: str) -> records.Image:
    return records.Image(id="a", status="active", properties={records.SENT: words})


def _of_the_name(data: bytes) -> object:
    return _Service(b'{"images": []}').named(text(data))


def _snapshot(data: bytes) -> object:
    store = rbd.RbdStore("pool", "", "")
    with mock.patch.object(rbd.RbdStore, "_client", return_value=Completed(0, data, b"")):
        return store._snapshot("a")


def _forms(data: bytes) -> object:
    """Each form by itself: what one cannot say another may."""
    made = manifest.decode(MANIFEST, "fuzz")
    args = kargs.parse(text(data))
    request = params.Request(msgspec.structs.replace(made, kernel_args=args))
    told = []
    for form in params.FORMS:
        for release in ("", "yoga"):  # with a grammar for arguments, and without
            with contextlib.suppress(BakeryError):
                of_release = msgspec.structs.replace(request, release=release)
                told.append(params.render(form, of_release))
    return told, params.document(request)


def _image(data: bytes) -> object:
    answer = _object(data)
    if answer is None:
        return None
    image = records.image(answer)
    return health.links(image), list(handover._candidates(image, ()))


def _node(data: bytes) -> object:
    """A node as a cloud tells of it, and what is made of it before a deploy."""
    answer = answers.mapping(_object(data))
    node = answers.node(answer)
    wanted = validate.root_device(node)
    disks = answers.entries(answer, "disks")
    return (
        answers.port(answer),
        answers.allocation(answer),
        answers.driver("ipmi", answer, answer.get("properties")),
        root_device.problem(wanted, disks, 1 << 30),
        validate.boot_of(node),
        validate._disk(node, PUBLISHED),
        validate.other_processor(node, "x86_64"),
        config_drive.is_on(node),
    )
