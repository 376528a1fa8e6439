"""What a command of GRUB's comes to: `$?` (include/grub/err.h)."""

NONE = 0
TEST_FAILURE = 1
BAD_FILE_TYPE = 4
FILE_NOT_FOUND = 5
BAD_FILENAME = 7
BAD_NUMBER = 10
UNKNOWN_DEVICE = 12
INVALID_COMMAND = 17
BAD_ARGUMENT = 18
NO_KERNEL = 22
MENU = 27
EXTRACTOR = 31


class Failed(Exception):
    """A command ends with this status."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
