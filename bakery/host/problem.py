"""What is wrong, where, and what to do about it: the one record of it."""

import msgspec

Place = tuple[str, ...]
"""From the outside in: a file (`lab.toml:7`), a node, a field. Empty parts say nothing."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong at `place`; `hint` names the way out and may be empty."""

    place: Place
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (*self.place, self.message) if part)
