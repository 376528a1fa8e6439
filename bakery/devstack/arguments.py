"""What is wrong with the kernel arguments that a local.conf gives to Ironic."""

import shlex
from collections.abc import Iterator

from bakery.devstack import metaconf
from bakery.devstack.finding import Finding
from bakery.devstack.subject import Rule, Subject
from bakery.host.errors import BakeryError
from bakery.openstack.ironic import params, releases
from bakery.system import kargs

NAMES = frozenset(one.key for one in releases.PLACES if one.form == "conf")


def places(subject: Subject) -> Iterator[Finding]:
    """An option that the release does not read, or that comes when Ironic already runs."""
    here = [one for one in releases.PLACES if one.form == "conf" and one.holds(subject.release)]
    read = {(one.section, name) for one in here for name in (one.key, one.alias)}
    names = dict.fromkeys(f"[{one.section}] {one.key}" for one in here)
    for phase, option in _options(subject):
        if (option.section, option.name) not in read:
            yield Finding.error(
                *("option", option.line),
                f"{releases.titled(subject.release)} does not read "
                f"[{option.section}] {option.name}",
                f"it reads {', '.join(names)}",
            )
        if phase in ("post-extra", "test-config"):
            yield Finding.warning(
                *("late", option.line, f"in {phase} the conductor is already running"),
                "[[post-config|$IRONIC_CONF_FILE]]",
            )


def changed(subject: Subject) -> Iterator[Finding]:
    """Arguments that no kernel takes, or that devstack's shell and sed would change."""
    for _, option in _options(subject):
        try:
            params.refuse_for_devstack(kargs.parse(option.value))
        except BakeryError as error:
            yield Finding.error("changed", option.line, error.message, error.hint)


def missing(subject: Subject) -> Iterator[Finding]:
    """Arguments of the build that the nodes would not get."""
    build = subject.build
    if build is None or build.layout == "disk":
        return
    found = [option for _, option in _options(subject) if option.section == "pxe"]
    if not found:
        yield Finding.error(
            *("no-arguments", 0, "the build's kernel arguments are missing"),
            f"bakery params DIR --for devstack --release {subject.release}",
        )
        return
    last = found[-1]
    given = last.value.split()
    lacking = [arg for arg in build.kernel_args if not set(arg.split()) <= set(given)]
    if lacking:
        yield Finding.error(
            *("arguments", last.line),
            f"arguments of the build are missing: {shlex.join(lacking)}",
            f"bakery params DIR --for devstack --release {subject.release}",
        )


def agent(subject: Subject) -> Iterator[Finding]:
    """With TLS the agent must be told not to verify, which devstack's own arguments do."""
    if not subject.localrc.enabled("tls-proxy"):
        return
    for _, option in _options(subject):
        if option.section == "pxe" and "ipa-insecure=1" not in option.value.split():
            yield Finding.warning(
                *("agent-tls", option.line),
                "this replaces devstack's arguments, among them ipa-insecure=1, without "
                "which the agent does not trust the API's certificate",
                "add ipa-insecure=1",
            )


def _options(subject: Subject) -> Iterator[tuple[str, metaconf.Option]]:
    """The kernel argument options of ironic.conf, with their phase."""
    for section in subject.document.sections:
        is_ironic = "IRONIC_CONF_FILE" in section.file or section.file.endswith("/ironic.conf")
        if section.phase in metaconf.MERGED_PHASES and is_ironic:
            for option in metaconf.options(section):
                if option.name in NAMES:
                    yield section.phase, option


RULES: tuple[Rule, ...] = (places, changed, missing, agent)
