"""What the services' configuration files say (oslo.config's INI form, section by section)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

Sections = Mapping[str, Mapping[str, str | int | Path]]

PASSWORD = "not-a-secret"  # loopback only; the services end with their test
REGION = "bakery"
DAY_SECONDS = 86400
RPC_HOST = "127.0.0.1"  # the API finds a conductor by the name it has given itself
STORE = "local"  # the name of the file store among Glance's backends

# A packaged Glance has this file in /etc/glance; the wheel lacks it. With it, the ids of a kernel
# and a ramdisk are UUIDs or null (glance, etc/schema-image.json).
UUID_OR_NULL = {
    "type": ["null", "string"],
    "pattern": "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-"
    "([0-9a-fA-F]){12}$",
}
SCHEMA_IMAGE = json.dumps(
    {"kernel_id": UUID_OR_NULL, "ramdisk_id": UUID_OR_NULL}
    | {
        name: {"type": "string"}
        for name in ("instance_uuid", "architecture", "os_distro", "os_version")
    },
    indent=2,
)


@dataclass(frozen=True)
class Choices:
    """How a deployment differs from the plain one.

    `quota_bytes` bounds what a user may store. `locations` shows and takes image locations, and
    lets them lead to http servers on this machine. `metadata_file` is the JSON that the file store
    adds to the locations it makes. `store_bytes` is the size of the disk behind the file store.
    """

    quota_bytes: int | None = None
    locations: bool = False
    metadata_file: Path | None = None
    store_bytes: int | None = None


def text(sections: Sections) -> str:
    """The configuration file."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for name, options in sections.items()
    )


def keystone(folder: Path, token_seconds: int = DAY_SECONDS) -> Sections:
    """Keystone with its state in `folder`; its tokens live so long."""
    return {
        "DEFAULT": {"use_stderr": "true", "max_token_size": 1024},
        "database": _database(folder / "keystone.sqlite"),
        "cache": {"enabled": "true", "backend": "oslo_cache.dict"},
        "credential": {"key_repository": folder / "credential-keys"},
        "fernet_tokens": {"key_repository": folder / "fernet-keys"},
        "fernet_receipts": {"key_repository": folder / "fernet-keys"},
        # the least bcrypt can do: every token costs one
        "identity": {"password_hash_rounds": 4},
        "token": {"provider": "fernet", "expiration": token_seconds},
    }


def glance(folder: Path, auth_url: str, image_url: str, choices: Choices) -> Sections:
    """Glance with its state in `folder`, asking the Keystone at `auth_url`."""
    backends = f"{STORE}:file" + (", web:http" if choices.locations else "")
    store: dict[str, str | int | Path] = {"filesystem_store_datadir": folder / "images"}
    if choices.metadata_file:
        store["filesystem_store_metadata_file"] = choices.metadata_file
    return {
        "DEFAULT": {
            "use_stderr": "true",
            "enabled_backends": backends,
            "worker_self_reference_url": image_url,
            "show_multiple_locations": str(choices.locations).lower(),
            "user_storage_quota": choices.quota_bytes or 0,
        },
        "database": _database(folder / "glance.sqlite"),
        "glance_store": {"default_backend": STORE},
        STORE: store,
        "os_glance_staging_store": {"filesystem_store_datadir": folder / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": folder / "tasks"},
        "import_filtering_opts": {"allowed_hosts": "[127.0.0.1]", "allowed_ports": "[]"}
        if choices.locations
        else {},
        "paste_deploy": {"flavor": "keystone"},
        "keystone_authtoken": _service_account(auth_url) | {"interface": "public"},
    }


@dataclass(frozen=True)
class IronicPlace:
    """Where an Ironic is: its address for nodes, its API, its files; and what it asks.

    With `database`, the URL of one for many processes, API and conductor speak JSON-RPC; without it
    they are a single process on sqlite.
    """

    address: str
    url: str
    http_url: str
    auth_url: str
    image_folder: Path
    database: str = ""
    rpc_port: int = 0


def ironic(folder: Path, place: IronicPlace) -> Sections:
    """Ironic with its state in `folder`: fake hardware, and IPMI nodes that boot by iPXE.

    What differs from Ironic's defaults is what a node without Neutron needs, and what a small
    machine needs to wait long enough.
    """
    account = _service_account(place.auth_url)
    return {
        "DEFAULT": {
            "use_stderr": "true",
            "auth_strategy": "keystone",
            "rpc_transport": "json-rpc" if place.database else "none",
            "host": RPC_HOST if place.database else "conductor",
            "my_ip": place.address,
            "state_path": folder / "state",
            "minimum_memory_warning_only": "true",
            "force_raw_images": "false",  # a qcow2 of Glance's goes to the node as it is
            "enabled_hardware_types": "ipmi,fake-hardware",
            "enabled_bios_interfaces": "no-bios,fake",
            "enabled_boot_interfaces": "ipxe,fake",
            "enabled_console_interfaces": "no-console,fake",
            "enabled_deploy_interfaces": "direct,ramdisk,custom-agent,fake",
            "enabled_firmware_interfaces": "no-firmware,fake",
            "enabled_inspect_interfaces": "no-inspect,fake",
            "enabled_management_interfaces": "ipmitool,fake,noop",
            "enabled_network_interfaces": "noop",
            "enabled_power_interfaces": "ipmitool,fake",
            "enabled_raid_interfaces": "no-raid,fake",
            "enabled_rescue_interfaces": "no-rescue,fake",
            "enabled_storage_interfaces": "noop",
            "enabled_vendor_interfaces": "no-vendor,ipmitool,fake",
        },
        "database": {"connection": place.database}
        if place.database
        else _database(folder / "ironic.sqlite"),
        "json_rpc": {"auth_strategy": "noauth", "host_ip": RPC_HOST, "port": place.rpc_port},
        "oslo_concurrency": {"lock_path": folder / "locks"},
        "keystone_authtoken": account | {"interface": "public"},
        "service_catalog": account | {"endpoint_override": place.url},
        "glance": account,
        "api": {
            "host_ip": place.address,
            "port": urlsplit(place.url).port or 0,
            "public_endpoint": place.url,
            "api_workers": 1,
        },
        "deploy": {
            "http_url": place.http_url,
            "http_root": folder / "http",
            "default_boot_mode": "bios",
        },
        "conductor": {
            "file_url_allowed_paths": place.image_folder,
            "disable_zstandard_decompression": "true",
            "deploy_callback_timeout": 1200,
            "automated_clean": "false",
        },
        "pxe": {
            "tftp_server": place.address,
            "tftp_root": folder / "tftp",
            "tftp_master_path": folder / "tftp/master_images",
            "images_path": folder / "state/images",
            "instance_master_path": folder / "state/master_images",
            "kernel_append_params": "nofb vga=normal console=ttyS0",
            "ipxe_timeout": 60,
            "boot_retry_timeout": 900,
        },
        "dhcp": {"dhcp_provider": "dnsmasq"},
        "dnsmasq": {
            "dhcp_optsdir": folder / "options",
            "dhcp_hostsdir": folder / "hosts",
            "dhcp_leasefile": folder / "leases",
        },
        "agent": {"image_download_source": "http", "post_deploy_get_power_state_retry_interval": 1},
        "ipmi": {"min_command_interval": 1},  # 5 spares BMCs that are made of hardware
    }


def _service_account(auth_url: str) -> dict[str, str | int | Path]:
    """How a service speaks to Keystone."""
    return {
        "auth_type": "password",
        "auth_url": auth_url,
        "www_authenticate_uri": auth_url,
        "username": "glance",
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }


def _database(file: Path) -> Mapping[str, str | int | Path]:
    # A writer waits for its turn instead of failing: sqlite's "database is locked" is an HTTP 500.
    return {"connection": f"sqlite:///{file}?timeout=60", "sqlite_synchronous": "false"}
