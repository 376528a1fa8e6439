"""A session with a BMC that takes its time: pyghmi's, with another idea of when to give up.

pyghmi gives a packet of a login two seconds. Then it begins a session anew, which the late answer
does not fit, and after the second time it is done. Here an answer counts for longer, and how long
one is waited for grows with what the BMC took so far, and with each time that none came.

Source: IPMI v2.0 rev. 1.1, 13.17 to 13.23 (RMCP+ Open Session, RAKP), 6.12.15 (session timeout).
"""

import random
import socket
import struct
import time
from collections.abc import Sequence

from pyghmi.ipmi.private import session

from bakery.bmc.ipmi_codes import OK, PASSING_STATUS, status_words

FIRST_PATIENCE_SECONDS = 3.0
FIRST_REPEAT_SECONDS = 1.0
SLOWER, LOST = 3.0, 1.5
"""An answer may take so many times as long as the slowest before it, until the BMC counts as gone;
and until the packet counts as lost, and is sent again: many BMCs answer one after the other."""
# These begin a session: a BMC that gets one twice refuses it, or takes it for that of another
# session, whose answer looks like a wrong password. One that is lost is found by its patience.
ONCE = ("OPENSESSION", "EXPECTINGRAKP2", "EXPECTINGRAKP4")
TIMEOUT = {"error": "timeout", "code": 0xFFFF}
MALFORMED = (IndexError, KeyError, ValueError, struct.error)


class Pace:
    """How long a BMC is waited for: `seconds` in all, and `silence` seconds without an answer.

    It outlives a login that failed, so that the next one knows how slow the BMC is. `repeat` is
    when a packet is sent again, in seconds.
    """

    def __init__(self, seconds: float, silence: float) -> None:
        self.deadline = time.monotonic() + seconds
        self._silence = silence
        self._heard = time.monotonic()
        self._patience, self.repeat = FIRST_PATIENCE_SECONDS, FIRST_REPEAT_SECONDS

    @property
    def patience(self) -> float:
        """How long one answer is waited for now."""
        now = time.monotonic()
        left = min(self._heard + self._silence, self.deadline) - now
        return min(self._patience, max(left, FIRST_PATIENCE_SECONDS))

    @property
    def is_silent(self) -> bool:
        """Whether nothing came for too long."""
        return time.monotonic() >= self._heard + self._silence

    @property
    def is_over(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() >= self.deadline

    def heard(self, seconds: float) -> None:
        """An answer came, so long after it was asked for."""
        self._heard = time.monotonic()
        self._patience = max(self._patience, SLOWER * seconds)
        self.repeat = max(self.repeat, LOST * seconds)

    def missed(self) -> None:
        """None came: the next one gets more time."""
        self._patience *= 2


class Session(session.Session):  # type: ignore[misc]
    """A session that is logged in once it is made; IpmiException or OSError where it cannot be."""

    def __new__(cls, *_: object) -> "Session":
        """A new one: pyghmi gives one again that it takes for the same, also where that failed."""
        made: Session = object.__new__(cls)
        made.forbidsock = []
        return made

    def __init__(self, address: str, port: int, username: str, password: str, pace: Pace) -> None:
        self._pace = pace
        self._asked = time.monotonic()
        socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)  # pyghmi does not say why not
        super().__init__(address, username, password, port)

    def send_payload(self, payload: Sequence[int] = (), *words: object, **more: object) -> None:
        """Send a packet; without a payload, the last one again."""
        if payload:
            self._asked, self.timeout = time.monotonic(), self._pace.repeat
        super().send_payload(payload, *words, **more)

    def _initsession(self) -> None:
        """Numbers of its own for each login, so that what is late for another fits nothing."""
        super()._initsession()
        self.localsid = random.getrandbits(31)
        self.rmcptag = random.getrandbits(7)

    def _getmaxtimeout(self) -> float:
        """How long a command may take at most."""
        return self._pace.patience + 1

    def _timedout(self) -> None:
        """There is no answer yet."""
        if not self.lastpayload:
            return
        left = self._asked + self._pace.patience - time.monotonic()
        if left <= 0:
            self.incommand = False
            self.ipmicallback(dict(TIMEOUT))
            self._mark_broken("timeout")
            return
        self.timeout = min(2 * self.timeout, left)
        if self.sessioncontext in ONCE:
            self._xmit_packet(delay_xmit=self.timeout)
        else:
            self.hasretried = 1
            self.send_payload()

    def _handle_ipmi_packet(self, data: bytearray, *words: object, **more: object) -> None:
        """A packet from the BMC's address. One that is malformed is none, and ends no program."""
        try:
            super()._handle_ipmi_packet(data, *words, **more)
        except MALFORMED:
            if not self.lastpayload:  # it was taken for the answer
                self._mark_broken("timeout")

    def _parse_payload(self, payload: bytearray) -> None:
        """The answer to a command."""
        self._took()
        super()._parse_payload(payload)

    def _got_rmcp_response(self, data: bytearray) -> int | None:
        """The answer to Open Session. Of a refusal that passes the algorithm is not the cause."""
        if self.sessioncontext != "OPENSESSION" or data[0] != self.rmcptag:
            return None
        self._took()
        if data[1] in PASSING_STATUS:
            self._refused(data[1])
            return None
        result: int | None = super()._got_rmcp_response(data)
        return result

    def _got_rakp2(self, data: bytearray) -> int | None:
        """The answer to RAKP 1; pyghmi would wait where the BMC has forgotten the session."""
        if self.sessioncontext != "EXPECTINGRAKP2" or data[0] != self.rmcptag:
            return None
        self._took()
        if data[1] in PASSING_STATUS:
            self._refused(data[1])
            return None
        result: int | None = super()._got_rakp2(data)
        return result

    def _got_rakp4(self, data: bytearray) -> int | None:
        """The answer to RAKP 3; pyghmi would wait for a better one."""
        if self.sessioncontext != "EXPECTINGRAKP4" or data[0] != self.rmcptag:
            return None
        self._took()
        if data[1] != OK:
            self._refused(data[1])
            return None
        result: int | None = super()._got_rakp4(data)
        return result

    def _refused(self, status: int) -> None:
        self.onlogon({"error": status_words(status)})

    def _took(self) -> None:
        self._pace.heard(time.monotonic() - self._asked)
