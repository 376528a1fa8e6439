"""Leaves the disk to diskimage-builder, which unmounts and detaches it: hand_over.py IMAGE DEVICE.

A disk that a block-device.d script makes is unknown to diskimage-builder's own commands
(dib-block-device getval, umount, cleanup). They read what this writes: its state, and the nodes
it will undo, from the last to the first.
"""

import os
import pickle
import sys
from pathlib import Path

import yaml
from diskimage_builder.block_device.blockdevice import BlockDevice, BlockDeviceState
from diskimage_builder.block_device.level0.localloop import LocalLoopNode
from diskimage_builder.block_device.level3.mount import MountPointNode

FILESYSTEMS = {"/": ("root", "xfs"), "/boot": ("boot", "ext4")}


def main(image: str, device: str) -> None:
    """Write both, for the file `image` behind the loop device `device`."""
    params = yaml.safe_load(Path(os.environ["DIB_BLOCK_DEVICE_PARAMS_YAML"]).read_text())
    state = BlockDeviceState()
    state["blockdev"] = {"image0": {"image": image, "device": device}}
    state["filesys"], state["mount"] = {}, {}
    nodes = [LocalLoopNode({"name": "image0", "size": "1"}, params, state)]
    for place, (name, kind) in FILESYSTEMS.items():
        base, node = f"mkfs_{name}", f"mount_mkfs_{name}"
        path = str(Path(params["mount-base"], place.lstrip("/")))
        state["filesys"][base] = {"fstype": kind}
        state["mount"][place] = {"name": node, "base": base, "path": path}
        config = {"name": node, "base": base, "mount_point": place}
        nodes.append(MountPointNode(params["mount-base"], config, state))
    block_device = BlockDevice(params)
    state.save_state(block_device.state_json_file_name)
    Path(block_device.node_pickle_file_name).write_bytes(pickle.dumps(nodes))


if __name__ == "__main__":
    main(*sys.argv[1:])
