import pytest

from bakery.devstack import services, sources
from bakery.openstack.ironic import releases
from tests.devstack.subjects import hints, subject, told

URL = sources.PLUGIN_URL
PASSWORDS = "".join(f"{name}=a1\n" for name in services.PASSWORDS)


def test_a_blank_beside_the_sign_is_an_error_at_its_line():
    about = subject(localrc="A=1\nB = 1\nC =2")
    assert told(services.assignments, about) == [("blank-at-equals", 2), ("blank-at-equals", 3)]


def test_passwords_are_there_and_plain():
    assert told(services.passwords, subject(localrc=PASSWORDS)) == []
    (finding,) = services.passwords(subject(localrc="ADMIN_PASSWORD=a\nRABBIT_PASSWORD=b"))
    assert (finding.level, finding.line) == ("warning", 0)
    assert finding.message == "stack.sh will ask for DATABASE_PASSWORD, SERVICE_PASSWORD"
    for wrong in ("a-b", "ü"):
        about = subject(localrc=PASSWORDS + f"RABBIT_PASSWORD={wrong}")
        (finding,) = services.passwords(about)
        assert (finding.rule, finding.line) == ("password", 5)
        assert finding.message.startswith("RABBIT_PASSWORD has characters")
    assert told(services.passwords, subject(localrc=PASSWORDS + "RABBIT_PASSWORD=")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#", [("no-plugin", 0)]),
        ("enable_plugin other x", [("no-plugin", 0)]),
        (f"enable_plugin ironic {URL} unmaintained/yoga", []),
        (f"enable_plugin ironic {URL} yoga", []),
        (f"enable_plugin ironic {URL} my-branch", []),
        ("\nenable_plugin ironic", [("plugin-url", 2), ("plugin-release", 2)]),
        (f"enable_plugin ironic {URL}", [("plugin-release", 1)]),
        (f"enable_plugin ironic {URL} master", [("plugin-release", 1)]),
        (
            f"enable_plugin ironic {URL} yoga\nenable_plugin ironic x\nenable_plugin ironic y",
            [("plugin-twice", 2), ("plugin-twice", 3)],
        ),
    ],
)
def test_the_plugin_is_enabled_once_with_its_url_and_the_release(text, found):
    assert told(services.plugin, subject(localrc=text)) == found


def test_the_way_out_names_the_branch():
    line = f"enable_plugin ironic {URL} unmaintained/yoga"
    assert hints(services.plugin, subject(localrc="#")) == [line]
    about = subject(localrc=f"enable_plugin ironic {URL} stable/2026.1")
    (finding,) = services.plugin(about)
    assert finding.message == "the plugin is from 2026.1, but the check is for yoga"
    assert (finding.level, finding.hint) == ("warning", line)
    newest = subject(localrc=f"enable_plugin ironic {URL}", release=releases.NEWEST)
    assert told(services.plugin, newest) == []


def test_ironic_of_2014_is_three_services():
    own = "enable_service ironic ir-api ir-cond"
    assert told(services.plugin, subject(localrc=own, release="liberty")) == []
    about = subject(localrc="enable_service ironic", release="liberty")
    assert [one.message for one in services.plugin(about)] == [
        "ir-api is not enabled",
        "ir-cond is not enabled",
    ]
    assert hints(services.plugin, about)[0] == "enable_service ir-api"
    about = subject(localrc=f"{own}\nenable_plugin ironic {URL}", release="liberty")
    assert told(services.plugin, about) == [("plugin-release", 2)]
    assert hints(services.plugin, about) == [own]


def test_nova_uses_ironic_and_has_what_that_needs():
    good = "VIRT_DRIVER=ironic\n"
    assert told(services.nova, subject(localrc=good)) == []
    assert told(services.nova, subject(localrc="\nVIRT_DRIVER=fake")) == [("virt-driver", 2)]
    assert told(services.nova, subject(localrc="disable_service key")) == [("virt-driver", 0)]
    about = subject(localrc=f"{good}disable_service key,n-cpu\nenable_service n-cpu")
    (finding,) = services.nova(about)
    assert (finding.level, finding.hint) == ("error", "enable_service key")
    assert finding.message == "Keystone (key) is switched off, and Ironic needs it"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("IRONIC_DEPLOY_DRIVER=ipmi", []),
        ("IRONIC_ENABLED_HARDWARE_TYPES=ipmi", []),
        ("IRONIC_DEPLOY_DRIVER=ipmi\nIRONIC_ENABLED_HARDWARE_TYPES=redfish,ipmi", []),
        ("\nIRONIC_DEPLOY_DRIVER=ipm\nIRONIC_ENABLED_HARDWARE_TYPES=ipmi", [("driver", 2)]),
    ],
)
def test_the_driver_is_an_enabled_one(text, found):
    assert told(services.driver, subject(localrc=text)) == found
