"""What a node meets in the served tree: as Ironic laid it out, for pxelinux, iPXE and GRUB."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec

from bakery.conductor.checked import SealOf
from bakery.conductor.journal import Deployment
from bakery.conductor.peer import Peer
from bakery.host.plain_file import Seal, seal
from bakery.manifest.manifest import Build
from bakery.netboot import boot_config
from bakery.netboot.boot_config import Boot, BootConfig
from bakery.netboot.tree import Guard, Tree

DEPLOY_KERNEL, DEPLOY_RAMDISK = "deploy-kernel", "deploy-ramdisk"
CONSOLE = "console=ttyS0"
# The list Ironic sent: the disks a ramdisk may take where nothing else is said.
DISKS = "cciss/c0d0,sda,hda,vda"


def iqn(node: UUID) -> str:
    """The name a node exports its disk by."""
    return f"iqn.2008-10.org.openstack:{node}"


def _names(mac: str) -> tuple[str, str, str]:
    """The boot configurations of one card, as pxelinux, iPXE and GRUB ask for them."""
    return (
        boot_config.pxelinux_name(mac),
        boot_config.ipxe_name(mac),
        boot_config.grub_name(mac),
    )


@dataclass(frozen=True)
class NodeOffer:
    """One node's part of `tree`, which is reached by HTTP at `url`; nobody but `peer` may have it.

    It may boot by any of `macs`. `ramdisk_folder` holds the deploy kernel and ramdisk;
    `root_device` are hints for them.
    `seal_of` tells as what the build's files were checked.
    """

    tree: Tree
    url: str
    node: UUID
    macs: tuple[str, ...]
    peer: Peer
    build: Build
    ramdisk_folder: Path
    root_device: str = ""
    direct: bool = False
    seal_of: SealOf = seal

    def script_url(self, mac: str) -> str:
        """Where the node's iPXE script is, when it boots by this card."""
        return f"{self.url}/{boot_config.ipxe_name(mac)}"

    def arguments(self, deployment: Deployment | None) -> tuple[str, ...]:
        """Those of the deploy ramdisk of a try, but for its network and its secrets."""
        manifest = self.build.manifest
        args = [
            "selinux=0",
            f"disk={DISKS}",
            f"iscsi_target_iqn={iqn(self.node)}",
            f"deployment_id={self.node}",
            f"ironic_api_url={self.url}",
            "boot_option=netboot",  # a whole disk too: no boot loader is to be installed
            "troubleshoot=0",
            "text",
            CONSOLE,
            f"bakery_bytes={manifest.artifacts['base'].size_bytes}",
        ]
        args += [f"bakery_key={deployment.public_key}"] if deployment and self.direct else []
        args += [f"bakery_sectors={manifest.sector_bytes}"] if manifest.layout == "disk" else []
        args += [f'root_device="{self.root_device}"'] if self.root_device else []
        return tuple(args)

    def ramdisk(self, deployment: Deployment) -> None:
        """Offer the deploy ramdisk, and the token it fetches."""
        for name, file in (("deploy_kernel", DEPLOY_KERNEL), ("deploy_ramdisk", DEPLOY_RAMDISK)):
            self._serve(name, seal(self.ramdisk_folder / file))
        token = deployment.token.encode() + b"\n"
        self.tree.put(f"token-{self.node}", token, self.peer.token, self.peer.token_taken)
        self._put(self._config(deployment), self.peer.text)

    def system(self) -> None:
        """Offer the node's own system; the deployment's secrets are taken away."""
        self.tree.remove(f"token-{self.node}")
        config = self._config(None)
        if self.build.manifest.layout == "disk":
            self._put(config.switched("boot_whole_disk"), self.peer.stranger)
            return
        filesystem = self.build.manifest.root_filesystem
        root = f"UUID={filesystem.uuid}" if filesystem else ""
        self._put(config.switched("boot_partition", root=root), self.peer.stranger)

    def nothing(self) -> None:
        """Offer nothing: the node's firmware finds no boot configuration."""
        self.tree.remove_below(str(self.node))
        self.tree.remove(f"token-{self.node}")
        for mac in self.macs:
            for name in _names(mac):
                self.tree.remove(name)

    def _serve(self, name: str, file: Seal) -> None:
        self.tree.put(f"{self.node}/{name}", file, self.peer.stranger)

    def _put(self, config: BootConfig, guard: Guard) -> None:
        self.tree.put(f"{self.node}/config", boot_config.pxelinux(config).encode(), guard)
        for mac in self.macs:
            own = msgspec.structs.replace(config, mac=mac)
            pxelinux, ipxe, grub = _names(mac)
            self.tree.put(pxelinux, boot_config.pxelinux(own).encode(), guard)
            self.tree.put(ipxe, boot_config.ipxe(own, self.url).encode(), guard)
            self.tree.put(grub, boot_config.grub(own).encode(), guard)

    def _config(self, deployment: Deployment | None) -> BootConfig:
        key = deployment.key if deployment else ""
        args = (*self.arguments(deployment), f"deployment_key={key}")
        deploy = Boot(
            f"{self.node}/deploy_kernel", f"{self.node}/deploy_ramdisk", args, network=True
        )
        return BootConfig(mac=self.macs[0], deploy=deploy, boot_partition=self._boot_partition())

    def _boot_partition(self) -> Boot | None:
        manifest = self.build.manifest
        if manifest.layout == "disk":
            return None
        self._serve("kernel", self.seal_of(self.build.kernel))
        self._serve("ramdisk", self.seal_of(self.build.ramdisk))
        args = boot_config.ironic_args(manifest.kernel_args)
        return Boot(f"{self.node}/kernel", f"{self.node}/ramdisk", args)
