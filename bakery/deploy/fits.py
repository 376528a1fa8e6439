"""Whether a published image and a node of Ironic's go together, before Ironic is asked to try.

Ironic's own `validate` sees little of this: it takes a kernel for an image and calls the node
active, and finds after minutes that a partition image cannot be made to boot (Ironic 39, deploy
interfaces `direct` and `ramdisk`).
"""

from collections.abc import Mapping
from typing import Literal

from bakery import params
from bakery.cloud import records
from bakery.cloud.find import Published
from bakery.errors import BakeryError
from bakery.fleet.records import NodeThere
from bakery.params import Request

Method = Literal["direct", "ramdisk"]

GIB = 1 << 30
FREE = frozenset({"available", "deploy failed", "error"})
UNDER_WAY = frozenset({"deploying", "wait call-back", "deploy hold"})
ACTIVE = "active"
# What a deploy is told by; what another one left of it would take part in ours.
OWN_INFO = (
    "image_source", "image_checksum", "image_os_hash_algo", "image_os_hash_value",
    "image_disk_format", "image_type", "kernel", "ramdisk", "kernel_append_params",
    "ramdisk_kernel_arguments",
)  # fmt: skip


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
    return wanted or fitting


def instance_info(image: Published, method: Method) -> dict[str, str]:
    """What a node is told of the image. Its kernel arguments come along where they are used.

    BakeryError names an argument that Ironic or iPXE would not leave as it is.
    """
    if method == "direct":
        return {"image_source": image.base.id}
    files = {part.name: part.image.id for part in image.parts}
    return {
        "kernel": files["kernel"],
        "ramdisk": files["ramdisk"],
        "kernel_append_params": params.node_line(Request(image.manifest, deploy="ramdisk")),
    }


def problems(node: NodeThere, image: Published, method: Method) -> list[str]:
    """Why the node cannot take the image; empty where nothing is known against it."""
    fields = node.fields
    found = []
    if fields.get("maintenance"):
        reason = fields.get("maintenance_reason")
        found.append("it is in maintenance" + (f" ({reason})" if reason else ""))
    state = str(fields.get("provision_state") or "")
    if not runs(node, image, method) and state not in FREE:
        found.append(_why_not_free(state))
    found += _disk(node, image) if method == "direct" else []
    found += _firmware(node, image) if method == "direct" else []
    return found


def runs(node: NodeThere, image: Published, method: Method) -> bool:
    """Whether the node has the image already, or is on its way to it."""
    has = fields_of(node, "instance_info")
    wanted = instance_info(image, method).items()
    told = all(has.get(key) == value for key, value in wanted)
    return told and node.fields.get("provision_state") in {ACTIVE, *UNDER_WAY}


def fields_of(node: NodeThere, key: str) -> Mapping[str, object]:
    """A node's field that is a mapping."""
    found = node.fields.get(key)
    return found if isinstance(found, dict) else {}


def _why_not_free(state: str) -> str:
    if state == ACTIVE:
        return "it is active with another instance; bakery nodes undeploy takes that away"
    if state in UNDER_WAY:
        return f"another deploy is under way ({state})"
    return f"it is {state or 'in no state'}; bakery nodes enroll … --provide makes it available"


def _disk(node: NodeThere, image: Published) -> list[str]:
    """Whether its disk is known to be too small."""
    size = image.manifest.artifacts["base"].size_bytes
    told = str(fields_of(node, "properties").get("local_gb") or "")
    if told.isascii() and told.isdigit() and int(told) * GIB < size:
        return [f"its disk (local_gb {told}) is smaller than the image, {-(-size // GIB)} GiB"]
    return []


def _firmware(node: NodeThere, image: Published) -> list[str]:
    """Whether its firmware is known to boot nothing of the image."""
    capabilities = str(fields_of(node, "properties").get("capabilities") or "")
    pairs = dict(pair.split(":", 1) for pair in capabilities.split(",") if ":" in pair)
    mode, has = pairs.get("boot_mode", ""), image.manifest.firmware
    if mode and has and mode not in has:
        return [f"it boots by {mode}, and the image by {' or '.join(has)} alone"]
    return []
