"""What is wrong with what a localrc switches on and off."""

from collections.abc import Iterator

from bakery.devstack import sources
from bakery.devstack.finding import Finding
from bakery.devstack.subject import Rule, Subject
from bakery.openstack.ironic import releases

PASSWORDS = ("ADMIN_PASSWORD", "DATABASE_PASSWORD", "RABBIT_PASSWORD", "SERVICE_PASSWORD")
# Ironic's plugin dies without them where Nova is to use it (ironic: devstack/lib/ironic,
# install_ironic); the names are those of devstack's ENABLED_SERVICES.
NEEDED = {"key": "Keystone", "g-api": "Glance", "n-api": "Nova", "n-cpu": "Nova's compute"}


def assignments(subject: Subject) -> Iterator[Finding]:
    """Blanks beside `=`."""
    for line in subject.localrc.spaced:
        yield Finding.error(
            *("blank-at-equals", line.number, "bash takes the name for a command here"),
            "write NAME=value, without blanks",
        )


def passwords(subject: Subject) -> Iterator[Finding]:
    """stack.sh asks for a password that is not set, and some services fail with special ones."""
    missing = [name for name in PASSWORDS if name not in subject.localrc.values]
    if missing:
        yield Finding.warning("password", 0, f"stack.sh will ask for {', '.join(missing)}")
    for name in PASSWORDS:
        text = subject.localrc.text(name)
        if text and not (text.isascii() and text.isalnum()):
            yield Finding.warning(
                *("password", subject.localrc.line(name)),
                f"{name} has characters that some services cannot handle",
                "letters and digits only",
            )


def plugin(subject: Subject) -> Iterator[Finding]:
    """Ironic itself: a plugin, or services of devstack's own tree before there was one."""
    calls = subject.localrc.plugins("ironic")
    if not sources.has_plugin(subject.release):
        yield from _own_tree(subject)
        return
    if not calls:
        ref = sources.git_ref(subject.release)
        yield Finding.error(
            *("no-plugin", 0, "Ironic is not enabled: there is no enable_plugin ironic"),
            f"enable_plugin ironic {sources.PLUGIN_URL} {ref}",
        )
    for call in calls[1:]:
        yield Finding.error(
            "plugin-twice", call.line, "devstack fails if a plugin is enabled twice"
        )
    for call in calls[:1]:
        if len(call.words) < 2:
            yield Finding.error(
                *("plugin-url", call.line, "enable_plugin needs a name and a URL"),
                f"enable_plugin ironic {sources.PLUGIN_URL}",
            )
        told = sources.release_of(call.words[2]) if len(call.words) > 2 else releases.NEWEST
        if told and told != subject.release:
            yield Finding.warning(
                *("plugin-release", call.line),
                f"the plugin is from {told}, but the check is for {subject.release}",
                f"enable_plugin ironic {sources.PLUGIN_URL} {sources.git_ref(subject.release)}",
            )


def nova(subject: Subject) -> Iterator[Finding]:
    """Nova has to use Ironic, and what it needs must not be switched off."""
    driver = subject.localrc.text("VIRT_DRIVER")
    if driver != "ironic":
        yield Finding.warning(
            *("virt-driver", subject.localrc.line("VIRT_DRIVER")),
            "Nova does not use Ironic, so no server boots on its nodes",
            "VIRT_DRIVER=ironic",
        )
        return
    for name, what in NEEDED.items():
        if subject.localrc.enabled(name) is False:
            yield Finding.error(
                *("service", 0, f"{what} ({name}) is switched off, and Ironic needs it"),
                f"enable_service {name}",
            )


def driver(subject: Subject) -> Iterator[Finding]:
    """devstack dies where the nodes' hardware type is not an enabled one."""
    wanted = subject.localrc.text("IRONIC_DEPLOY_DRIVER")
    enabled = subject.localrc.text("IRONIC_ENABLED_HARDWARE_TYPES")
    if wanted and enabled and wanted not in enabled.split(","):
        yield Finding.error(
            *("driver", subject.localrc.line("IRONIC_DEPLOY_DRIVER")),
            f"the hardware type {wanted} is not enabled",
            f"IRONIC_ENABLED_HARDWARE_TYPES={enabled},{wanted}",
        )


def _own_tree(subject: Subject) -> Iterator[Finding]:
    for name in ("ironic", "ir-api", "ir-cond"):
        if not subject.localrc.enabled(name):
            yield Finding.error(*("service", 0, f"{name} is not enabled"), f"enable_service {name}")
    for call in subject.localrc.plugins("ironic"):
        yield Finding.error(
            *("plugin-release", call.line),
            f"in {releases.titled(subject.release)} Ironic is not a plugin",
            "enable_service ironic ir-api ir-cond",
        )


RULES: tuple[Rule, ...] = (assignments, passwords, plugin, nova, driver)
