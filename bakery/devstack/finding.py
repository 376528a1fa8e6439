"""What is wrong with a local.conf, where, and what to do."""

from typing import Literal

import msgspec

Level = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True):
    """`error`: it will not work; `warning`: it may not. `line` counts from 1; 0 is the whole file.

    `rule` is a short fixed name, for programs; `file` is the path, once the check is done.
    """

    level: Level
    rule: str
    line: int
    says: str
    remedy: str = ""
    file: str = ""
