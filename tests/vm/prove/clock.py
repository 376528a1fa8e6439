"""A clock that goes when it is told to."""


class Clock:
    """Stands at `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds
