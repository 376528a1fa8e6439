"""Whether a published image and a node of Ironic's go together, before Ironic is asked to try.

Ironic's own `validate` sees little of this: it takes a kernel for an image and calls the node
active, and finds after minutes that a partition image cannot be made to boot (Ironic 39, deploy
interfaces `direct` and `ramdisk`).
"""

import contextlib
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError
from bakery.openstack.connection import CloudError
from bakery.openstack.glance import records
from bakery.openstack.glance.find import Published
from bakery.openstack.glance.images import Images
from bakery.openstack.ironic import changes, params, releases
from bakery.openstack.ironic.params import Request
from bakery.openstack.ironic.records import NodeThere
from bakery.system import architecture

Method = Literal["direct", "ramdisk"]

GIB = 1 << 30
GIGABYTES = re.compile(r"[0-9]{1,18}")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
FREE = frozenset({"available", "deploy failed", "error"})
UNDER_WAY = frozenset({"deploying", "wait call-back", "deploy hold"})
ACTIVE = "active"
# What a deploy is told by; what another one left of it would take part in ours.
OWN_INFO = (
    "image_source", "image_checksum", "image_os_hash_algo", "image_os_hash_value",
    "image_disk_format", "image_type", "kernel", "ramdisk", "kernel_append_params",
    "ramdisk_kernel_arguments",
)  # fmt: skip


class Glimpse(msgspec.Struct, frozen=True):
    """What is told by the heads of an image's files: its kernel's processor, its ramdisk's packing.

    `processor` is as uname(1) names it, the manifest's where no kernel tells; empty: not known.
    """

    processor: str = ""
    zstd: bool = False


UNKNOWN = Glimpse()


def glimpse(images: Images, image: Published) -> Glimpse:
    """A look at kernel and ramdisk in Glance; what we may not read tells nothing."""
    heads = {}
    for part in image.parts:
        if part.name != records.BASE and part.is_raw:
            with contextlib.suppress(CloudError):
                heads[part.name] = images.head(part.image.id, architecture.HEAD_BYTES)
    return Glimpse(
        architecture.of_kernel(heads.get("kernel", b"")) or image.manifest.architecture,
        heads.get("ramdisk", b"").startswith(ZSTD_MAGIC),
    )


def method_of(image: Published, wanted: Method | None) -> Method:
    """The deploy interface for an image; BakeryError where the wanted one cannot deploy it."""
    layout, shape = image.manifest.layout, image.base.properties.get(records.SHAPE, "")
    fitting: Method = "direct" if shape == "whole-disk" else "ramdisk"
    if wanted == "direct" and fitting != "direct":
        raise BakeryError(
            f"{image.base.name} is a partition image (layout {layout}), and Ironic's deploy "
            "interface 'direct' cannot make one boot",
            "bakery build --layout disk and upload that, or --method ramdisk",
        )
    method = wanted or fitting
    if method == "direct":
        _written_whole(image)
    else:
        params.node_line(Request(image.manifest, deploy="ramdisk"))
    return method


def _written_whole(image: Published) -> None:
    """BakeryError where Glance says less of a whole disk, or more, than `direct` can do with.

    Ironic makes a partition image of one that has a kernel (ironic/common/images.py,
    is_whole_disk_image), and hands what Glance counted to an agent that writes nothing unhashed.
    """
    what = f"image {image.base.name} ({image.base.id})"
    links = [key for key in (records.KERNEL_ID, records.RAMDISK_ID) if key in image.base.properties]
    if links:
        words = " ".join(f"--property {key}" for key in links)
        raise BakeryError(
            f"{what} is a whole disk, but its {' and '.join(links)} make Ironic treat it as a "
            "partition image",
            f"openstack image unset {words} {image.base.id}",
        )
    if not (image.base.hash_value or image.base.checksum):
        raise BakeryError(
            f"{what} has neither os_hash_value nor checksum in Glance, so what is "
            "written could not be verified",
            "upload the build again, so that Glance reads its bytes",
        )


def instance_info(
    image: Published, method: Method, node: NodeThere, release: str = ""
) -> dict[str, str]:
    """What a node is told of the image, by an Ironic of `release` (empty: the newest).

    Its kernel arguments come along where they are used, under the name that the node's boot
    interface reads. BakeryError names an argument that Ironic or iPXE would not leave as it is,
    and says so where no arguments reach such a node.
    """
    if method == "direct":
        return {"image_source": image.base.id}
    files = {part.name: part.image.id for part in image.parts}
    told = {"kernel": files["kernel"], "ramdisk": files["ramdisk"]}
    return told | arguments(image, node, release)


def arguments(image: Published, node: NodeThere, release: str) -> dict[str, str]:
    """The image's kernel arguments, as a node's instance_info has them; errors as above."""
    request = Request(image.manifest, release, boot_of(node), "ramdisk")
    return {request.place("node").key: params.node_line(request)}


def boot_of(node: NodeThere) -> releases.Boot:
    """Who hands the kernel its arguments, as far as these differ: the network, or an ISO image.

    A node's boot interface may be a vendor's own, made of Redfish's (ironic, setup.cfg,
    ironic.hardware.interfaces.boot).
    """
    name = str(node.fields.get("boot_interface") or "")
    for boot in releases.BOOTS:
        if name == boot:
            return boot
    iso = "virtual-media" in name or name.endswith("-https")
    return "redfish-virtual-media" if iso else "pxe"


def problems(node: NodeThere, image: Published, method: Method, release: str = "") -> list[str]:
    """Why the node cannot take the image; empty where nothing is known against it."""
    fields = node.fields
    found = []
    if fields.get("maintenance"):
        reason = fields.get("maintenance_reason")
        found.append("it is in maintenance" + (f" ({reason})" if reason else ""))
    if method == "direct":
        found += _disk(node, image) + _firmware(node, image)
    else:
        try:
            arguments(image, node, release)
        except BakeryError as error:
            return [*found, error.message]
    if not runs(node, image, method, release) and node.state not in FREE:
        found.append(_why_not_free(node.state))
    return found


def other_processor(node: NodeThere, processor: str) -> list[str]:
    """Whether the node is known to be another machine than the kernel is for."""
    machine = str(fields_of(node, "properties").get("cpu_arch") or "")
    if architecture.runs(processor, machine):
        return []
    return [f"its cpu_arch is {machine}, but the image is for {processor}"]


def boot_mode_matters(node: NodeThere, image: Published, method: Method) -> bool:
    """Whether Ironic's configuration, which its API does not tell, decides if the disk boots."""
    return method == "direct" and image.manifest.firmware == ("bios",) and not _boot_mode(node)


def runs(node: NodeThere, image: Published, method: Method, release: str = "") -> bool:
    """Whether the node has the image already, or is on its way to it."""
    has = fields_of(node, "instance_info")
    wanted = instance_info(image, method, node, release).items()
    told = all(has.get(key) == value for key, value in wanted)
    return told and node.state in {ACTIVE, *UNDER_WAY}


def fields_of(node: NodeThere, key: str) -> Mapping[str, object]:
    """A node's field that is a mapping."""
    found = node.fields.get(key)
    return found if isinstance(found, dict) else {}


def root_device(node: NodeThere) -> Mapping[str, object]:
    """The hints for its root disk: an instance's own, else those of its properties."""
    own = fields_of(node, "instance_info").get("root_device")
    wanted = own or fields_of(node, "properties").get("root_device")
    return wanted if isinstance(wanted, dict) else {}


def _why_not_free(state: str) -> str:
    if state == ACTIVE:
        return "it is active with another instance; bakery nodes undeploy removes it"
    if state in UNDER_WAY:
        return f"another deploy is under way ({state})"
    return f"it is {state or 'in no state'}; bakery nodes enroll … --provide makes it available"


def _disk(node: NodeThere, image: Published) -> list[str]:
    """Whether its disk is known to be too small."""
    size = image.manifest.artifacts["base"].size_bytes
    told = str(fields_of(node, "properties").get("local_gb") or "")
    if GIGABYTES.fullmatch(told) and int(told) * GIB < size:
        return [f"its disk (local_gb {told}) is smaller than the image, {-(-size // GIB)} GiB"]
    return []


def _firmware(node: NodeThere, image: Published) -> list[str]:
    """Whether its firmware is known to boot nothing of the image."""
    mode, has = _boot_mode(node), image.manifest.firmware
    if mode and has and mode not in has:
        return [f"it boots by {mode}, but the image only by {' or '.join(has)}"]
    return []


def _boot_mode(node: NodeThere) -> str:
    """The firmware that a deploy sets it to; empty where it says none.

    An instance's capabilities are a mapping, a node's a text, and the first go before
    (ironic/drivers/modules/boot_mode_utils.py, get_boot_mode_for_deploy).
    """
    own = fields_of(node, "instance_info").get("capabilities")
    if isinstance(own, dict) and own.get("boot_mode"):
        return str(own["boot_mode"]).lower()
    capabilities = changes.split(fields_of(node, "properties").get("capabilities"))
    return capabilities.get("boot_mode", "").lower()
