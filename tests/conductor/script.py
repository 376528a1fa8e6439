"""A node of whom is noted what it is asked, and which does what a test says."""

from bakery.bmc.bmc import Identity
from bakery.conductor.means import Sign


class Script:
    """Power, boot offer, writer and signs that note what they are asked, and do what a test says.

    `faults` maps what is asked to the errors it raises, one after the other.
    """

    def __init__(self, **faults):
        self.asked = []
        self.faults = faults
        self.is_on = False
        self.seen = iter([None, Sign("login", "login")])
        self.writes = lambda tell: [tell("writing", 1, 2), tell("verifying", 0, 2)]

    def note(self, *words):
        self.asked.append(words)
        if errors := self.faults.get(words[0]):
            raise errors.pop(0)

    def power(self):
        return "on" if self.is_on else "off"

    def power_on(self):
        self.note("on")
        self.is_on = True

    def power_off(self):
        self.note("off")
        self.is_on = False

    def boot_from(self, device, *, persistent=False):
        self.note("boot", device, persistent)

    def identity(self):
        return Identity()

    def ramdisk(self, deployment):
        self.note("ramdisk", deployment.key)

    def system(self):
        self.note("system")

    def nothing(self):
        self.note("nothing")

    silence = ""

    def mark(self):
        return 7

    def up(self, mark, seconds):
        self.note("up", mark, seconds)
        return next(self.seen)

    def write(self, agent, deployment, tell):
        self.note("write", agent, deployment.key)
        self.writes(tell)

    def release(self, address, word):
        self.note("release", address, word)
