"""How far several nodes are together: one step beside theirs."""

import contextlib

from bakery.host.report import Event, Report, Step, pace

STEP = "all writing"


class Total(contextlib.ExitStack):
    """The sum of what `nodes` nodes have written; a single node has its own step, and no other."""

    def __init__(self, report: Report, nodes: int) -> None:
        super().__init__()
        self._report, self._nodes = report, nodes
        self._step: Step | None = None
        self._written: dict[str, int] = {}
        self._largest = 0

    def take(self, event: Event) -> None:
        """Take notice of what one of them told. A node that is tried again begins again."""
        if self._nodes < 2 or event.kind != "progress" or not event.step.endswith(" writing"):
            return
        self._written[event.step] = event.done_bytes
        self._largest = max(self._largest, event.total_bytes)
        step = self._step = self._step or self.enter_context(self._report.step(STEP))
        done, whole = sum(self._written.values()), self._nodes * self._largest
        step.progress(done, whole, pace(done, whole, step.seconds))
        step.summary(f"{len(self._written)} of {self._nodes} nodes, {done / 1e6:.0f} MB")
