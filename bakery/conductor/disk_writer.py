"""The conductor's work on a node's disk: log in, lay out, write, read back, log out."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bakery.conductor import partition
from bakery.conductor.contents import Piece, fitting
from bakery.conductor.disk_errors import Mismatch
from bakery.conductor.iscsi import PORT, Target, attached
from bakery.conductor.journal import AgentInfo, Deployment
from bakery.conductor.local_files import LocalFiles
from bakery.conductor.partition import Extras
from bakery.manifest.manifest import Build
from bakery.node.agent import proof, writing
from bakery.node.agent.disk import Disk
from bakery.node.agent.writing import Tell


def writer(
    build: Build, extras: Extras, port: int = PORT
) -> Callable[[AgentInfo, Deployment, Tell], None]:
    """What writes `build` onto the disk that a ramdisk offers at its address and `port`."""

    def write(agent: AgentInfo, deployment: Deployment, tell: Tell) -> None:
        chap = proof.chap(deployment.key) if agent.chap else None
        with (
            tempfile.TemporaryDirectory(prefix="bakery-deploy-") as scratch,
            attached(Target(agent.address, agent.iqn, port), chap) as disk,
        ):
            made = partition.pieces(build, extras, disk.size_bytes, deployment.disk, Path(scratch))
            write_and_verify(disk, fitting(made, disk.size_bytes), tell)

    return write


def write_and_verify(disk: Disk, pieces: Sequence[Piece], tell: Tell) -> None:
    """Bring `pieces` onto `disk`, read them back, and make the disk bootable at last.

    Raises Mismatch where the disk returns other bytes, DiskFailed where it gives up, and
    BakeryError where a file is not what its digest says; the disk does not boot then.
    """
    try:
        writing.write(disk, LocalFiles(pieces), tell)
    except writing.Mismatch as error:
        names = [piece.name for piece in pieces if piece.offset <= error.at < piece.end]
        where = " at ".join((*names, f"byte {error.at} of the disk"))
        raise Mismatch(
            f"the disk gave back other bytes than were written ({where})",
            "the disk or the way to it is faulty: replace it, then deploy again",
        ) from error
