"""Records that hold a password, and do not show it."""

from typing import Any

import msgspec

MASK = "******"
SECRETS = frozenset({"password"})


class Masked(msgspec.Struct, frozen=True):
    """A record that is shown without its password: in a traceback, a log, an assertion."""

    def __repr__(self) -> str:
        """Like any other record's, with the password as asterisks."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same, for rich."""
        return self._shown()

    def _shown(self) -> list[tuple[str, Any]]:
        pairs = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [(name, MASK if name in SECRETS and value else value) for name, value in pairs]
