"""The conductor's work on a node's disk: log in, lay out, write, read back, log out."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from bakery.deploy import partition
from bakery.deploy.contents import fitting
from bakery.deploy.iscsi import PORT, Target, attached
from bakery.deploy.journal import AgentInfo, Deployment
from bakery.deploy.partition import Extras
from bakery.deploy.writing import Watcher, write_and_verify
from bakery.manifest import Build


def writer(
    build: Build, extras: Extras, port: int = PORT
) -> Callable[[AgentInfo, Deployment, Watcher], None]:
    """What writes `build` onto the disk that a ramdisk offers at its address and `port`."""

    def write(agent: AgentInfo, deployment: Deployment, watcher: Watcher) -> None:
        with (
            tempfile.TemporaryDirectory(prefix="bakery-deploy-") as scratch,
            attached(Target(agent.address, agent.iqn, port)) as disk,
        ):
            made = partition.pieces(build, extras, disk.size_bytes, deployment.disk, Path(scratch))
            write_and_verify(disk, fitting(made, disk.size_bytes), watcher)

    return write
