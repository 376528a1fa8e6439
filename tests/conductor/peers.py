"""A node's peer for a test, as the conductor makes it."""

from uuid import UUID

from bakery.conductor.journal import AgentInfo, Deployment, Record
from bakery.conductor.peer import Peer
from bakery.conductor.wanted import Wanted


def record(deployment: Deployment, agent: AgentInfo | None = None) -> Record:
    """A node that is waited for, or whose agent has reported."""
    return Record(
        node=UUID(int=1),
        name="node-1",
        wanted=Wanted(build="k1", name="sample"),
        state="writing" if agent else "ramdisk",
        deployment=deployment,
        agent=agent,
    )


def peer_at(address: str, deployment: Deployment) -> Peer:
    """Whoever has this address, while this deployment lasts."""
    peer = Peer(lambda asked: asked == address)
    peer.follow(record(deployment))
    return peer
