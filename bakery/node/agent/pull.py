"""A disk, pulled: the node brings what a write list says onto its own disk."""

from . import writing
from .disk import Disk
from .fetch import PATIENCE, Fetch, Patience
from .marks import MarksOnDisk
from .write_list import WriteList
from .writing import Tell

ROUNDS = 3


def pull(
    disk: Disk,
    write_list: WriteList,
    tell: Tell,
    interface: str = "",
    patience: Patience = PATIENCE,
    token: str = "",
) -> None:
    """Bring all pieces onto the disk; AgentError where that cannot be, with nothing to boot.

    It goes on where an earlier start was. `interface` is where a multicast may come; without one,
    everything is fetched. `token` is sent to who serves the frames.
    """
    source = Fetch(write_list, interface, patience, token)
    marks = MarksOnDisk(disk, write_list.identity, write_list.count)
    writing.write(disk, source, tell, marks, ROUNDS)
