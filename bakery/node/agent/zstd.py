"""One zstd frame at a time, by the distribution's libzstd (zstd.h, ZSTD_decompress)."""

import ctypes
import mmap

from .errors import AgentError

LIBRARY = "libzstd.so.1"


class Decompressor:
    """Threads may share one; none holds the interpreter while the library works."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise AgentError(f"{LIBRARY} cannot be loaded: {error}") from None
        self._decompress = library.ZSTD_decompress
        self._decompress.restype = ctypes.c_size_t
        self._decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t] * 2
        self._is_error = library.ZSTD_isError
        self._is_error.restype = ctypes.c_uint
        self._is_error.argtypes = [ctypes.c_size_t]

    def into(self, frame: bytes, target: mmap.mmap, length: int) -> bool:
        """Whether `frame` holds exactly `length` bytes, which then are in `target`."""
        room = (ctypes.c_char * length).from_buffer(target)
        done: int = self._decompress(ctypes.addressof(room), length, frame, len(frame))
        return not self._is_error(done) and done == length
