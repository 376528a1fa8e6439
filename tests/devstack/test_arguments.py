import pytest

from bakery.devstack import arguments
from tests.devstack.builds import a_build
from tests.devstack.subjects import hints, subject, told

CONF = "[[post-config|$IRONIC_CONF_FILE]]\n"
NEW, OLD = "kernel_append_params", "pxe_append_params"


@pytest.mark.parametrize(
    ("text", "release", "found"),
    [
        (f"{CONF}[pxe]\n{NEW}=a", "yoga", []),
        (f"{CONF}[pxe]\n{OLD}=a", "yoga", []),  # an alias
        (f"{CONF}[pxe]\n{NEW}=a", "wallaby", [("option", 3)]),
        (f"{CONF}[pxe]\n{OLD}=a", "wallaby", []),
        (f"{CONF}[nova]\n{NEW}=a", "yoga", [("option", 3)]),
        (f"{CONF}[pxe]\nother=a", "yoga", []),
        (f"[[extra|/etc/ironic/ironic.conf]]\n[pxe]\n{NEW}=a", "yoga", []),
        (f"[[post-extra|/etc/ironic/ironic.conf]]\n[pxe]\n{NEW}=a", "yoga", [("late", 3)]),
        (f"[[test-config|$IRONIC_CONF_FILE]]\n[x]\n{NEW}=a", "yoga", [("option", 3), ("late", 3)]),
        (f"[[post-config|$NOVA_CONF]]\n[x]\n{NEW}=a", "yoga", []),
        (f"[[local|$IRONIC_CONF_FILE]]\n[x]\n{NEW}=a", "yoga", []),
    ],
)
def test_an_option_is_one_that_the_release_reads_in_time(text, release, found):
    assert told(arguments.places, subject(text, release=release)) == found


def test_what_a_release_reads_is_told():
    about = subject(f"{CONF}[x]\n{NEW}=a", release="yoga")
    (finding,) = arguments.places(about)
    assert finding.message == f"Yoga (Ironic 20.1) does not read [x] {NEW}"
    assert finding.hint == (f"it reads [pxe] {NEW}, [redfish] {NEW}, [ilo] {NEW}, [irmc] {NEW}")


def test_what_a_shell_would_change_is_refused_as_params_does():
    (finding,) = arguments.changed(subject(f"{CONF}[pxe]\n{NEW}=quiet a=*"))
    assert (finding.rule, finding.line, finding.level) == ("changed", 3, "error")
    assert "'a=*'" in finding.message
    assert told(arguments.changed, subject(f"{CONF}[pxe]\n{NEW}=quiet a=b")) == []


def test_all_arguments_of_the_build_are_given_in_the_last_option():
    build = a_build(args="ro quiet")
    good, other = f"{CONF}[pxe]\n{NEW}=quiet x ro", f"{CONF}[pxe]\n{NEW}=quiet"
    assert told(arguments.missing, subject(good, build=build)) == []
    assert told(arguments.missing, subject(other)) == []
    assert told(arguments.missing, subject(other, build=a_build("disk", args="ro"))) == []
    (finding,) = arguments.missing(subject(other, build=build))
    assert (finding.rule, finding.line) == ("arguments", 3)
    assert finding.message == "arguments of the build are missing: ro"
    assert finding.hint == "bakery params DIR --for devstack --release yoga"
    both = subject(f"{good}\n{other}", build=build)
    assert told(arguments.missing, both) == [("arguments", 6)]
    assert told(arguments.missing, subject(f"{other}\n{good}", build=build)) == []
    for none in ("", f"{CONF}[redfish]\n{NEW}=quiet ro"):
        about = subject(none, build=build)
        assert told(arguments.missing, about) == [("no-arguments", 0)]
        assert hints(arguments.missing, about) == [
            "bakery params DIR --for devstack --release yoga"
        ]


def test_with_tls_the_agent_is_told_not_to_verify():
    local = "[[local|localrc]]\nenable_service tls-proxy\n"
    plain, insecure = f"{CONF}[pxe]\n{NEW}=a", f"{CONF}[pxe]\n{NEW}=a ipa-insecure=1"
    assert told(arguments.agent, subject(plain)) == []
    assert told(arguments.agent, subject(local + plain)) == [("agent-tls", 5)]
    assert told(arguments.agent, subject(local + insecure)) == []
    assert told(arguments.agent, subject(f"{local}{CONF}[ilo]\n{NEW}=a")) == []
    off = "[[local|localrc]]\ndisable_service tls-proxy\n"
    assert told(arguments.agent, subject(off + plain)) == []
