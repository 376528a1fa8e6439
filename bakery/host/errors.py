"""The one kind of failure a user sees."""


class BakeryError(Exception):
    """Something was refused or failed, for a reason that can be named.

    `message` names the thing and the reason; `hint` names the way out (may be empty).
    The command line prints both and exits with `exit_code`; nothing else is ever caught there,
    so any other exception is a defect of bakery itself.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BakeryError):
    """The command was called in a way that cannot mean anything (exit code 2)."""

    exit_code = 2


class MissingTool(BakeryError):
    """A program bakery needs is not on this machine."""

    def __init__(self, program: str, hint: str = "") -> None:
        super().__init__(f"the program '{program}' is not installed", hint)
        self.program = program
