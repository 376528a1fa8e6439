"""Who speaks for a node: the one place that decides it, for each call, secret file and frame.

A node is whoever holds the address that is its MAC's, and the secrets of this try; how an address
is known to be that, network.py decides. The address of the agent that reported is its own until
the try ends, whatever DHCP is told meanwhile.
A secret is handed out once for each time the node starts.
"""

import hmac
from collections.abc import Callable

from bakery.conductor.journal import Record
from bakery.netboot.tree import Asker

STRANGER = "this is another node's"
SPENT = "it was handed out already"
OTHER_TRY = "the token is not this deployment's"
OTHER_KEY = "the deployment key does not match"


class Refused(Exception):
    """A call that is not taken, with the HTTP status that says so."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Peer:
    """The other end of one node's deploy; `holds` tells whether an address is its MAC's.

    It is asked from the servers' threads.
    """

    def __init__(self, holds: Callable[[str], bool]) -> None:
        self._holds = holds
        self._token = self._key = self._agent = ""
        self._token_taken = self._reported = False

    def follow(self, record: Record) -> None:
        """From now on the secrets and the agent of this record count."""
        before, self._agent = self._agent, record.agent.address if record.agent else ""
        if self._token != record.deployment.token:
            self._token, self._key = record.deployment.token, record.deployment.key
            self.starts()
        if self._agent and self._agent != before:
            self.reported()

    def starts(self) -> None:
        """The node starts afresh, and needs its secrets once more."""
        self._token_taken = self._reported = False

    def reported(self) -> None:
        """The node's agent has its secrets, and needs them no more."""
        self._reported = True

    def check(self, asker: Asker, key: str | None = None) -> None:
        """Raise Refused unless `asker` is the node, with this try's token, and `key` if given."""
        if reason := self.stranger(asker):
            raise Refused(403, reason)
        if reason := self._other_try(asker):
            raise Refused(401, reason)
        if key is not None and not _same(key, self._key):
            raise Refused(400, OTHER_KEY)

    # Guards of files (bakery.netboot.tree.Guard).
    def stranger(self, asker: Asker) -> str:
        """Why this is not the node's address; empty where it is."""
        if not asker.address:
            return STRANGER
        own = asker.address == self._agent or self._holds(asker.address)
        return "" if own else STRANGER

    def text(self, asker: Asker) -> str:
        """The guard of what holds the key: for the node, until its agent has reported."""
        return self.stranger(asker) or self.spent()

    def spent(self) -> str:
        """Why what holds the key is handed out no more; empty until the agent has reported."""
        return SPENT if self._reported else ""

    def token(self, asker: Asker) -> str:
        """The guard of the token: for the node, until it has it."""
        return self.text(asker) or (SPENT if self._token_taken else "")

    def token_taken(self) -> None:
        """The node has the token."""
        self._token_taken = True

    def frames(self, asker: Asker) -> str:
        """The guard of what goes on the disk: for the node, with its token."""
        return self.stranger(asker) or self._other_try(asker)

    def _other_try(self, asker: Asker) -> str:
        return "" if _same(asker.secret, self._token) else OTHER_TRY


def _same(told: str, secret: str) -> bool:
    return bool(secret) and hmac.compare_digest(told.encode(), secret.encode())
