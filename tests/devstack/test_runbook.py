"""Every step of a runbook, word for word."""

from pathlib import Path

import msgspec
import pytest

from bakery.devstack import runbook
from bakery.devstack.steps import Answer
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build
from tests.devstack.builds import a_build
from tests.openstack.ironic.test_params import BLUEPRINT

STEPS = f"""\
configure: devstack's local.conf
  look: bakery devstack check /opt/devstack/local.conf --image out --release yoga
  act:  bakery devstack local.conf out --release yoga --nodes 2 -o /opt/devstack/local.conf
stack: OpenStack, and Ironic's nodes: 2
  look: openstack --os-cloud devstack-admin baremetal node list -f json
  act:  cd /opt/devstack && /opt/devstack/stack.sh
  if it was interrupted: cd /opt/devstack && /opt/devstack/unstack.sh
  then look again for up to 300 s
upload: the build into Glance
  look: openstack --os-cloud devstack-admin image show fedora-atomic -f json
  act:  bakery upload out --cloud devstack-admin --replace
arguments: the build's kernel arguments for every node
  look: openstack --os-cloud devstack-admin baremetal node show node-0 \
--fields instance_info -f json
  look: openstack --os-cloud devstack-admin baremetal node show node-1 \
--fields instance_info -f json
  act:  openstack --os-cloud devstack-admin baremetal node set \
--instance-info 'kernel_append_params={BLUEPRINT}' node-0
  act:  openstack --os-cloud devstack-admin baremetal node set \
--instance-info 'kernel_append_params={BLUEPRINT}' node-1
keypair: the key to log in with
  look: openstack --os-cloud devstack-admin keypair show KEY
  act:  openstack --os-cloud devstack-admin keypair create --public-key id.pub KEY
boot: the server fedora-atomic on a node
  look: openstack --os-cloud devstack-admin server show fedora-atomic -f json
  act:  openstack --os-cloud devstack-admin server create --flavor baremetal \
--image fedora-atomic --network private --key-name KEY fedora-atomic
  then look again for up to 3600 s
login: ssh as root
  look: ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=accept-new \
-o UserKnownHostsFile=/dev/null -i id 'root@{{address}}' true
  then look again for up to 1800 s
"""


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("id.pub").write_text("ssh-ed25519 AAAA\n")
    return runbook.RunbookOptions(
        bakery="bakery",
        folder=Path("/opt/devstack"),
        release="yoga",
        nodes=2,
        key=Path("id.pub"),
    )


def steps(options, build=None, **changed):
    options = msgspec.structs.replace(options, **changed)
    made = runbook.steps(Build(Path("out"), build or a_build()), options)
    return {step.name: step for step in made}


def test_every_step_in_full(options):
    text = "".join("\n".join(step.shown()) + "\n" for step in steps(options).values())
    assert text == STEPS.replace("KEY", "bakery-64536be9b860")


def test_an_act_may_take_as_long_as_it_does(options):
    found = steps(options)
    hour = 3600
    assert [found["stack"].act[0].seconds, found["stack"].undo[0].seconds] == [3 * hour, hour]
    assert found["upload"].act[0].seconds == hour
    assert runbook.building("bakery", Path("a"), Path("b")).act[0].seconds == hour


def test_a_build_of_an_image_has_the_layout_that_is_asked_for():
    plain = runbook.building("bakery", Path("a b.qcow2"), Path("out"))
    assert plain.shown() == [
        "build: kernel, ramdisk and base of a b.qcow2",
        "  look: bakery params out --for json",
        "  act:  bakery build 'a b.qcow2' -o out",
    ]
    chosen = runbook.building("bakery", Path("a"), Path("out"), "disk")
    assert chosen.act[0].argv[-2:] == ("--layout", "disk")


def test_the_server_and_its_user_are_named_as_asked(options):
    found = steps(options, server="one", user="core")
    assert found["boot"].look[0].argv[-3] == "one"
    assert found["boot"].act[0].argv[-1] == "one"
    assert "core@{address}" in found["login"].look[0].argv
    fedora = msgspec.structs.replace(a_build(), distro="fedora")
    assert "fedora@{address}" in steps(options, fedora)["login"].look[0].argv


@pytest.mark.parametrize(
    ("release", "cloud"),
    [("2023.2", "devstack-admin"), ("2024.1", "devstack-system-admin"), ("2025.1", "devstack-sy")],
)
def test_from_2024_1_the_system_is_asked_for_nodes(options, release, cloud):
    look = steps(options, a_build("disk"), release=release)["stack"].look[0]
    assert look.argv[2].startswith(cloud)
    assert steps(options, a_build("disk"), release=release)["boot"].look[0].argv[2] == runbook.CLOUD


def test_train_is_the_first_release_and_yoga_the_last_that_boots_a_base(options):
    assert steps(options, release="train")
    with pytest.raises(BakeryError, match="up to Yoga") as refused:
        steps(options, release="zed")
    assert "--release yoga" in refused.value.hint
    assert steps(options, a_build("disk"), release="zed")
    with pytest.raises(BakeryError, match="earlier clients"):
        steps(options, a_build("disk"), release="stein")


def test_what_a_step_judges_by_is_what_the_others_make(options):
    found = steps(options)
    good = Answer(0, '{"status": "active", "bakery_key": "k"}')
    assert found["upload"].judge([good]).state == "done"
    two = Answer(0, "[{}, {}]")
    assert found["stack"].judge([two]).state == "done"
    told = Answer(
        0, msgspec.json.encode({"instance_info": {"kernel_append_params": BLUEPRINT}}).decode()
    )
    assert found["arguments"].judge([told, told]).state == "done"
