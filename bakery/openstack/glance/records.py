"""What Glance knows of an image, and the properties bakery gives to one.

The fields are those of the Image API v2 (https://docs.openstack.org/api-ref/image/v2/).
"""

from collections.abc import Mapping

import msgspec

from bakery.host.errors import BakeryError

# What bakery says of an image it published. Glance keeps properties as text.
ROLE = "bakery_role"
"""`kernel`, `ramdisk` or `base`: this property makes an image one of bakery's."""
DIGEST = "bakery_digest"
"""The manifest's digest of the file the image was made of."""
SHA512 = "bakery_sha512"
"""The sha512 of the image's bytes, as bakery counted them."""
SHAPE = "bakery_shape"
"""On a base: `ami`, `partition` or `whole-disk`."""
SOURCE_DIGEST = "bakery_source_digest"
LAYOUT = "bakery_layout"
STATEROOT = "bakery_stateroot"
DEPLOYMENT = "bakery_deployment"
"""The checksum of the OSTree deployment, else the name of the boot entry."""
KERNEL_VERSION = "bakery_kernel_version"
KEY = "bakery_key"
"""The content key of the build."""
SENT = "bakery_sent"
"""While an image is sent: bytes so far, and a number that grows as long as its publisher lives."""
OWN_PREFIX = "bakery_"

# What others read.
KERNEL_ID = "kernel_id"
RAMDISK_ID = "ramdisk_id"
# On a whole disk the two above would make a partition image of it.
OWN_KERNEL_ID = "bakery_kernel_id"
OWN_RAMDISK_ID = "bakery_ramdisk_id"
COMMAND_LINE = "os_command_line"
FIRMWARE = "hw_firmware_type"
DISTRO = "os_distro"
ARCHITECTURE = "hw_architecture"
"""As uname(1) names it (Nova, nova/objects/fields.py, Architecture): Nova places by it."""

KERNEL, RAMDISK, BASE = "kernel", "ramdisk", "base"
ROLES = (KERNEL, RAMDISK, BASE)
LINKS = {KERNEL: (KERNEL_ID, OWN_KERNEL_ID), RAMDISK: (RAMDISK_ID, OWN_RAMDISK_ID)}
"""Role of a companion → the properties by which a base may name it, a whole disk's own last."""

ACTIVE, QUEUED, SAVING = "active", "queued", "saving"
UNDER_WAY = frozenset({SAVING, "uploading", "importing"})
GONE = frozenset({"deleted", "pending_delete"})

STANDARD = frozenset(
    {
        "id", "name", "status", "visibility", "protected", "owner", "size", "virtual_size",
        "checksum", "os_hash_algo", "os_hash_value", "os_hidden", "disk_format",
        "container_format", "min_disk", "min_ram", "created_at", "updated_at", "tags",
        "locations", "direct_url", "file", "self", "schema", "stores",
    }
)  # fmt: skip
"""The fields every image has: no property of one's own can have such a name."""


class Location(msgspec.Struct, frozen=True):
    """Where a store keeps the bytes of an image; `metadata` is what the store says of it."""

    url: str
    metadata: dict[str, object] = {}


# Field → its name on the wire.
_WIRE_NAMES = {
    "size_bytes": "size", "hidden": "os_hidden", "hash_algo": "os_hash_algo",
    "hash_value": "os_hash_value", "min_disk_gib": "min_disk",
}  # fmt: skip


class Image(msgspec.Struct, frozen=True, kw_only=True, rename=_WIRE_NAMES):
    """An image as Glance shows it. `properties` are those that are no field of its own."""

    id: str
    name: str = ""
    status: str
    size_bytes: int | None = None
    disk_format: str = ""
    container_format: str = ""
    visibility: str = ""
    hidden: bool = False
    protected: bool = False
    owner: str = ""
    checksum: str = ""
    """The md5 of the bytes, where the server still counts it."""
    hash_algo: str = ""
    hash_value: str = ""
    min_disk_gib: int = 0
    created_at: str = ""
    updated_at: str = ""
    properties: dict[str, str] = {}
    locations: tuple[Location, ...] = ()
    """Empty where the cloud does not show them."""

    @property
    def role(self) -> str:
        """`kernel`, `ramdisk`, `base`, or nothing where bakery did not publish it."""
        return self.properties.get(ROLE, "")


def image(answer: Mapping[str, object]) -> Image:
    """An image out of a decoded JSON object; BakeryError where it is none."""
    told = {key: value for key, value in answer.items() if value is not None}  # null is none
    properties = {key: str(value) for key, value in told.items() if key not in STANDARD}
    try:
        return msgspec.convert(told | {"properties": properties}, Image)
    except msgspec.ValidationError as error:
        raise BakeryError(f"the image service described an image in an unknown way: {error}") from (
            error
        )
