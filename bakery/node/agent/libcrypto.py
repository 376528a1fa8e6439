"""The distribution's libcrypto: the ramdisk has it, for Python brings no cipher and no signature.

Source: OpenSSL 3, the manual pages of section 3.
"""

import ctypes
from collections.abc import Iterable
from typing import Any

from .errors import AgentError

NAME = "libcrypto.so.3"
POINTER, TEXT, SIZE, INT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
Function = tuple[str, Any, tuple[Any, ...]]
"""A function's name, the type of its result and those of its arguments."""


def load(functions: Iterable[Function]) -> ctypes.CDLL:
    """The library, whose `functions` are told what they take; AgentError where it is not there."""
    try:
        crypto = ctypes.CDLL(NAME)
    except OSError as error:
        raise AgentError(f"{NAME} cannot be loaded: {error}") from None
    for name, result, arguments in functions:
        function = crypto[name]
        function.restype, function.argtypes = result, arguments
        setattr(crypto, name, function)
    return crypto
