"""A disk in memory that remembers what was done to it, and may lie, give up, or lose power."""

SIZE = 96 << 20


class Memory:
    """Reads arrive when they are waited for; `asked` is how many were under way at most.

    It gives back another byte at `lie_at`, and raises `error` for a write of byte `give_up_at`.
    """

    name = "the disk"

    def __init__(
        self, size_bytes=SIZE, *, lie_at=None, give_up_at=None, error=OSError, reads_ahead=8
    ):
        self.size_bytes, self.reads_ahead = size_bytes, reads_ahead
        self.content = bytearray(b"old " * (size_bytes // 4))
        self.done = []
        self.read_bytes = 0
        self.asked = 0
        self.lie_at, self.give_up_at, self.error = lie_at, give_up_at, error
        self._waiting = {}
        self._next = 0

    def write(self, offset, data):
        if self.give_up_at is not None and offset <= self.give_up_at < offset + len(data):
            raise self.error("the disk is gone")
        self.done.append(("write", offset, len(data)))
        self.content[offset : offset + len(data)] = data

    def zero(self, offset, length):
        self.done.append(("zero", offset, length))
        self.content[offset : offset + length] = bytes(length)

    def discard(self):
        self.done.append(("discard", 0, 0))

    def read_into(self, offset, target):
        ticket, self._next = self._next, self._next + 1
        self._waiting[ticket] = (offset, target)
        self.asked = max(self.asked, len(self._waiting))
        return ticket

    def wait(self, ticket):
        offset, target = self._waiting.pop(ticket)
        target[:] = self.content[offset : offset + len(target)]
        if self.lie_at is not None and offset <= self.lie_at < offset + len(target):
            target[self.lie_at - offset] ^= 1
        self.read_bytes += len(target)

    def flush(self):
        self.done.append(("flush", 0, 0))

    def begins_blank(self):
        return not any(self.content[: 1 << 20])
