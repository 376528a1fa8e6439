"""What the rules of a check are asked about, written down in a line or two."""

from bakery.devstack import metaconf, shell
from bakery.devstack.subject import Subject
from tests.devstack.builds import LARGE


def subject(text="", *, localrc="", release="yoga", host=LARGE, beside=(), build=None):
    """A local.conf; or the lines of a localrc, numbered from 1, and what stands in `text`."""
    document = metaconf.parse(text)
    lines = metaconf.pair(localrc, "").localrc if localrc else document.localrc
    return Subject(document, shell.read(lines), release, host, frozenset(beside), build)


def told(rule, about):
    """What a rule finds, without levels and hints."""
    return [(one.rule, one.line) for one in rule(about)]


def hints(rule, about):
    return [one.hint for one in rule(about)]
