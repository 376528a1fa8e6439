"""Each request to a BMC is a process of its own, so that it ends in time whatever the BMC does."""

import sys

import msgspec

from bakery.bmc.answer import Answer
from bakery.bmc.bmc import Enter, NotOffered
from bakery.host.errors import BakeryError
from bakery.host.run import Arg, CommandFailed, run

# For the program that asks to start, and to see that its time is over; the machine may be busy.
START_SECONDS = 15.0
ANSWER_LIMIT_BYTES = 64 << 10
PRIVILEGE_HINT = "check the user's name, password and privilege (administrator or operator)"
BUSY_HINT = "wait until it is; close the sessions that others hold, or restart the BMC"


class Worker(msgspec.Struct, frozen=True):
    """The program for one BMC, and what messages about it say.

    `module` reads a request on standard input, which may hold a password, and answers on standard
    output. `bmc` and `username` are who is asked and as whom; `hints` are the ways out of
    failures by their kind, where they are this protocol's own.
    """

    module: str
    bmc: str
    username: str
    enter: Enter
    hints: dict[str, str]

    def do(self, request: bytes, asked: str, seconds: float) -> Answer:
        """Have a request carried out within `seconds`; BakeryError where it is not.

        `asked` says in messages what it was, as "switch the node on".
        """
        words: list[Arg] = [sys.executable, "-P", "-m", self.module]
        try:
            done = run(
                self.enter(words),
                stdin=request,
                timeout=seconds + START_SECONDS,
                output_limit=ANSWER_LIMIT_BYTES,
                name=self.module,
            )
            answer = msgspec.json.decode(done.stdout, type=Answer)
        except CommandFailed as error:
            if error.returncode > 0:
                raise BakeryError(f"{self.bmc} cannot be talked to: {error.message}") from None
            raise self._failure(Answer(kind="no-answer"), asked, seconds) from None
        except (msgspec.DecodeError, RecursionError):
            raise self._failure(Answer(kind="no-answer"), asked, seconds) from None
        if answer.kind:
            raise self._failure(answer, asked, seconds)
        return answer

    def _failure(self, answer: Answer, asked: str, seconds: float) -> BakeryError:
        words = f": {answer.words}" if answer.words else ""
        said = {
            "denied": f"denies login as '{self.username}'{words}",
            "refused": f"refuses to {asked}{words}",
            "not-offered": f"cannot {asked}{words}",
            "busy": f"was not ready to {asked} within {seconds:g} s{words}",
            "late": f"did not {asked} within {seconds:g} s{words}",
            "untrusted": f"is not trusted{words}",
            "unreachable": f"cannot be reached{words}",
            "no-answer": f"does not answer{words}",
        }[answer.kind]
        usual = {
            "denied": PRIVILEGE_HINT,
            "busy": BUSY_HINT,
            "late": "look at the node; then try again",
        }
        hint = answer.hint or self.hints.get(answer.kind) or usual.get(answer.kind, "")
        error = NotOffered if answer.kind == "not-offered" else BakeryError
        return error(f"{self.bmc} {said}", hint)
