"""What a node meets in the served tree: as Ironic laid it out, for pxelinux, iPXE and GRUB."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bakery.deploy.journal import Deployment
from bakery.manifest import Build
from bakery.serve import bootconfig
from bakery.serve.bootconfig import Boot, BootConfig
from bakery.serve.tree import Tree

DEPLOY_KERNEL, DEPLOY_RAMDISK = "deploy-kernel", "deploy-ramdisk"
CONSOLE = "console=ttyS0"
# The list Ironic sent: the disks a ramdisk may take where nothing else is said.
DISKS = "cciss/c0d0,sda,hda,vda"


def iqn(node: UUID) -> str:
    """The name a node exports its disk by."""
    return f"iqn.2008-10.org.openstack:{node}"


@dataclass(frozen=True)
class NodeOffer:
    """One node's part of `tree`, which is reached by HTTP at `url`.

    `ramdisk_folder` holds the deploy kernel and ramdisk; `root_device` are hints for them.
    """

    tree: Tree
    url: str
    node: UUID
    mac: str
    build: Build
    ramdisk_folder: Path
    root_device: str = ""
    direct: bool = False

    @property
    def script_url(self) -> str:
        """Where the node's iPXE script is."""
        return f"{self.url}/{bootconfig.ipxe_name(self.mac)}"

    def ramdisk(self, deployment: Deployment) -> None:
        """Offer the deploy ramdisk, and the token it fetches."""
        self.tree.put(f"{self.node}/deploy_kernel", self.ramdisk_folder / DEPLOY_KERNEL)
        self.tree.put(f"{self.node}/deploy_ramdisk", self.ramdisk_folder / DEPLOY_RAMDISK)
        self.tree.put(f"token-{self.node}", deployment.token.encode() + b"\n")
        key = deployment.public_key if self.direct else ""
        self._put(self._config(deployment.key, key))

    def system(self) -> None:
        """Offer the node's own system; the deployment's secrets are taken away."""
        self.tree.remove(f"token-{self.node}")
        config = self._config("")
        if self.build.manifest.layout == "disk":
            self._put(config.switched("boot_whole_disk"))
            return
        filesystem = self.build.manifest.root_filesystem
        root = f"UUID={filesystem.uuid}" if filesystem else ""
        self._put(config.switched("boot_partition", root=root))

    def nothing(self) -> None:
        """Offer nothing: the node's firmware finds no boot configuration."""
        self.tree.remove_below(str(self.node))
        for name in (f"token-{self.node}", *self._names()):
            self.tree.remove(name)

    def _names(self) -> tuple[str, str, str]:
        return (
            bootconfig.pxelinux_name(self.mac),
            bootconfig.ipxe_name(self.mac),
            bootconfig.grub_name(self.mac),
        )

    def _put(self, config: BootConfig) -> None:
        pxelinux, ipxe, grub = self._names()
        self.tree.put(f"{self.node}/config", bootconfig.pxelinux(config).encode())
        self.tree.put(pxelinux, bootconfig.pxelinux(config).encode())
        self.tree.put(ipxe, bootconfig.ipxe(config, self.url).encode())
        self.tree.put(grub, bootconfig.grub(config).encode())

    def _config(self, key: str, plan_key: str = "") -> BootConfig:
        args = [
            "selinux=0",
            f"disk={DISKS}",
            f"iscsi_target_iqn={iqn(self.node)}",
            f"deployment_id={self.node}",
            f"deployment_key={key}",
            f"ironic_api_url={self.url}",
            "boot_option=netboot",  # a whole disk too: no boot loader is to be installed
            "troubleshoot=0",
            "text",
            CONSOLE,
        ]
        args += [f"bakery_key={plan_key}"] if plan_key else []
        args += [f'root_device="{self.root_device}"'] if self.root_device else []
        deploy = Boot(
            f"{self.node}/deploy_kernel", f"{self.node}/deploy_ramdisk", tuple(args), network=True
        )
        return BootConfig(mac=self.mac, deploy=deploy, boot_partition=self._boot_partition())

    def _boot_partition(self) -> Boot | None:
        manifest = self.build.manifest
        if manifest.layout == "disk":
            return None
        self.tree.put(f"{self.node}/kernel", self.build.kernel)
        self.tree.put(f"{self.node}/ramdisk", self.build.ramdisk)
        args = bootconfig.ironic_args(manifest.kernel_args)
        return Boot(f"{self.node}/kernel", f"{self.node}/ramdisk", args)
