"""The way to a server: the addresses that its name has, in turns."""

import socket

ADDRESSES = 8
NEXT_SECONDS = 5.0
"""How long an address may take to accept a connection while there are others."""


class Way:
    """Connections to one server. The address that worked is tried first, one that failed last."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._used: object = None
        self._failed: set[object] = set()

    def connect(self, silence: float) -> socket.socket:
        """A connection on which nobody may be silent for longer; OSError where there is none."""
        every = self._addresses()
        last: OSError | None = None
        for number, (family, where) in enumerate(every, 1):
            link = socket.socket(family, socket.SOCK_STREAM)
            try:
                link.settimeout(silence if number == len(every) else min(silence, NEXT_SECONDS))
                link.connect(where)
                link.settimeout(silence)
            except OSError as error:
                link.close()
                self._failed.add(where)
                last = error
            else:
                self._used = where
                return link
        raise last or OSError(0, f"{self._host} has no address")

    def failed(self) -> None:
        """What came of the last connection was no answer: another address comes first."""
        self._failed.add(self._used)
        self._used = None

    def _addresses(self) -> list[tuple[int, tuple[object, ...]]]:
        # As bytes the name is handed on as it is; as text Python would load its tables for IDNA.
        name = self._host.encode("ascii")
        found = socket.getaddrinfo(name, self._port, type=socket.SOCK_STREAM)[:ADDRESSES]
        every = [(family, where) for family, _, _, _, where in found]
        if all(where in self._failed for _, where in every):
            self._failed.clear()  # each had its turn
        return sorted(every, key=lambda one: (one[1] in self._failed, one[1] != self._used))
