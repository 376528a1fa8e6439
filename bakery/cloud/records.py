"""What Glance knows of an image, and the properties bakery gives to one.

The fields are those of the Image API v2 (https://docs.openstack.org/api-ref/image/v2/).
"""

from collections.abc import Mapping

import msgspec

from bakery.errors import BakeryError

# What bakery says of an image it published. Glance keeps properties as text.
ROLE = "bakery_role"
"""`kernel`, `ramdisk` or `base`: this property makes an image one of bakery's."""
DIGEST = "bakery_digest"
"""The manifest's digest of the file the image was made of."""
SHA512 = "bakery_sha512"
"""The sha512 of the image's bytes, as bakery counted them."""
SHAPE = "bakery_shape"
"""On a base: `ami`, `partition` or `whole-disk`."""
MANIFEST_SHA256 = "bakery_manifest_sha256"
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

KERNEL, RAMDISK, BASE = "kernel", "ramdisk", "base"
ROLES = (KERNEL, RAMDISK, BASE)

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


class Image(msgspec.Struct, frozen=True, kw_only=True):
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


class _Fields(msgspec.Struct):
    """The standard fields as they come over the wire; null is as good as absent."""

    id: str
    status: str
    name: str | None = None
    size: int | None = None
    disk_format: str | None = None
    container_format: str | None = None
    visibility: str | None = None
    os_hidden: bool | None = None
    protected: bool | None = None
    owner: str | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    min_disk: int | None = None
    created_at: str | None = None
    updated_at: str | None = None
    locations: tuple[Location, ...] | None = None


def image(answer: Mapping[str, object]) -> Image:
    """An image out of a decoded JSON object; BakeryError where it is none."""
    try:
        fields = msgspec.convert(answer, _Fields)
    except msgspec.ValidationError as error:
        raise BakeryError(f"the image service described an image in a way unknown: {error}") from (
            error
        )
    return Image(
        id=fields.id,
        name=fields.name or "",
        status=fields.status,
        size_bytes=fields.size,
        disk_format=fields.disk_format or "",
        container_format=fields.container_format or "",
        visibility=fields.visibility or "",
        hidden=bool(fields.os_hidden),
        protected=bool(fields.protected),
        owner=fields.owner or "",
        checksum=fields.checksum or "",
        hash_algo=fields.os_hash_algo or "",
        hash_value=fields.os_hash_value or "",
        min_disk_gib=fields.min_disk or 0,
        created_at=fields.created_at or "",
        updated_at=fields.updated_at or "",
        properties={
            key: str(value)
            for key, value in answer.items()
            if key not in STANDARD and value is not None
        },
        locations=fields.locations or (),
    )
