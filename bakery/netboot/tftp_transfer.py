"""One file on its way to one TFTP client: a block, its acknowledgement, the next (RFC 1350, 2347).

Nothing here knows of sockets or time: packets go in and come out, written and read by tftpy.
"""

import struct
from collections.abc import Mapping

from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketACK, TftpPacketDAT, TftpPacketERR, TftpPacketOACK
from tftpy.TftpShared import TftpException

from bakery.netboot.tree import Opened

BLOCK_BYTES = 512
"""How long a block is where the client asks for nothing else."""


class Broken(Exception):
    """The transfer cannot go on; the message says why."""


class Transfer:
    """What is sent to one client, step by step.

    `options` are the `blksize` and `tsize` that it asked for, within bounds; those alone are
    acknowledged. `packet` is what it is to have now: sent again, unchanged, until `take` says
    that there is another. `done` once the client has all of the file.
    """

    def __init__(self, opened: Opened, options: Mapping[str, int]) -> None:
        self._opened = opened
        self._block_bytes = options.get("blksize", BLOCK_BYTES)
        self._number = 0
        self._left = opened.size_bytes
        self._last = False
        self.done = False
        if options:
            answer = TftpPacketOACK()
            answer.options = dict(options)
            if "tsize" in options:
                answer.options["tsize"] = opened.size_bytes
            self.packet = bytes(answer.encode().buffer)
        else:
            self._next_block()

    def take(self, packet: bytes) -> bool:
        """A packet of the client's; whether `packet` is a new one now, which is to be sent.

        An acknowledgement of an earlier block is passed over: to answer it would double every
        block from there on (RFC 1123, 4.2.3.1). Raises Broken, and OSError of the file.
        """
        try:
            told = TftpPacketFactory().parse(packet)
        except (TftpException, struct.error, UnicodeDecodeError) as error:
            raise Broken("the client sent a malformed packet") from error
        if isinstance(told, TftpPacketERR):
            words = bytes(told.errmsg or b"").decode("ascii", "replace")
            raise Broken(f"the client gave up: {words or f'error {told.errorcode}'}")
        if not isinstance(told, TftpPacketACK):
            raise Broken("the client sent a malformed packet")
        if told.blocknumber != self._number & 0xFFFF:
            return False
        self.done = self._last
        if not self.done:
            self._next_block()
        return not self.done

    def _next_block(self) -> None:
        """The file is sent as long as it was when it was asked for. A short block is the last."""
        wanted = min(self._block_bytes, self._left)
        content = self._opened.file.read(wanted)
        if len(content) < wanted:
            raise Broken("the file has shrunk meanwhile")
        self._number += 1
        self._left -= wanted
        self._last = wanted < self._block_bytes
        block = TftpPacketDAT()
        block.blocknumber, block.data = self._number & 0xFFFF, content
        self.packet = bytes(block.encode().buffer)
