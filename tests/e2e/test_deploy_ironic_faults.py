"""`bakery nodes deploy` against a real Ironic where something is in the way."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from bakery.host import report
from bakery.openstack.connection import connect
from bakery.openstack.glance.find import published
from bakery.openstack.glance.images import Images
from bakery.openstack.ironic import deploy
from bakery.openstack.ironic.client import Ironic
from bakery.openstack.ironic.validate import Method
from tests import tiny
from tests.conductor.targets import until
from tests.conftest import BAKERY
from tests.e2e.fleet import ARGS, Fleet, refused
from tests.e2e.ironic_database import locked, opened
from tests.services.api import Glance
from tests.services.openstack import ADMIN, Services
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bare-metal")]

NODES, DEAF = 22, 10
ANOTHER = "another-conductor"
WAITING = "wait call-back"
TOKEN_SECONDS = 8


@pytest.fixture(scope="module")
def fleet(bare_metal: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(bare_metal.fresh_project(), tmp_path_factory.mktemp("faults"), NODES, DEAF)
    yield made
    made.close(bare_metal.image_url)


@pytest.fixture
def proxy(bare_metal: Services) -> Iterator[Proxy]:
    assert bare_metal.ironic
    with Proxy(bare_metal.ironic.url) as running, running.in_front_of(bare_metal, "baremetal"):
        yield running


@pytest.fixture
def deploys(fleet, monkeypatch):
    """What `bakery nodes deploy` has in hand once it has looked, of an image."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(fleet.project.clouds_yaml))
    connection = connect(ADMIN)

    def of(image: str, method: Method) -> deploy.Deploys:
        return deploy.Deploys(Ironic(connection), published(Images(connection), image), method)

    return of


@pytest.fixture(scope="module")
def seen(fleet, bare_metal):
    """What Ironic knows of a node, asked past any proxy and at once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OS_CLIENT_CONFIG_FILE", str(fleet.project.clouds_yaml))
        ironic = Ironic(connect(ADMIN))
    return lambda name: ironic.get(name).fields


def set_lock(services: Services, node: str, holder: str | None) -> None:
    """Have a conductor hold a node's lock, as one does that is at work on it."""
    with opened(services) as database:
        database.execute("UPDATE nodes SET reservation = ? WHERE name = ?", (holder, node))


def set_inventory(services: Services, node: str, *disks: dict[str, object]) -> None:
    """Have a node these disks, as an inspection by the agent leaves them."""
    told = json.dumps({"disks": disks})
    with opened(services) as database:
        database.execute(
            "INSERT INTO node_inventory (version, inventory_data, plugin_data, node_id) "
            "SELECT '1.0', ?, '{}', id FROM nodes WHERE name = ?",
            (told, node),
        )


def test_hints_that_no_disk_of_the_nodes_inventory_matches_are_told_before(fleet, bare_metal, seen):
    (node,) = fleet.deaf(1)
    disk = {"name": "/dev/sda", "size": 4 << 30, "rotational": True, "model": "Old"}
    set_inventory(bare_metal, node, disk)
    fleet.client("set", "--property", 'root_device={"size": ">= 100"}', node)
    before = seen(node)
    told = refused(fleet.deploy(node, "--image", "disk"))
    assert "no disk in its inventory matches root_device (size >= 100)" in told
    assert "/dev/sda (4 GiB Old)" in told
    assert seen(node) == before
    fleet.client("set", "--property", 'root_device={"rotational": true}', node)
    done = fleet.deploy(node, "--image", "disk", "--timeout", "1")
    assert WAITING in done.stdout or "deploying" in done.stdout, done.stderr


def test_a_node_of_another_processor_and_a_ramdisk_that_conductors_unpack_are_told_before(
    fleet, seen, tmp_path
):
    setup = b"\0" * 0x202 + b"HdrS" + b"\0" * 0x30 + b"\x03\0"  # as in test_architecture.py
    files = {"vmlinuz-6.1": setup, "initrd-6.1": b"\x28\xb5\x2f\xfd" + tiny.INITRD}
    image = tiny.make(tmp_path, boot={**tiny.BOOT, **files}, name="x86")
    fleet.done("build", image, "-o", tmp_path / "x86", "-q")
    fleet.done("upload", tmp_path / "x86", "-q")
    node = fleet.node()
    fleet.client("set", "--property", "cpu_arch=aarch64", node)
    told = refused(fleet.deploy(node, "--image", "x86"))
    assert f"{node}: its cpu_arch is aarch64, but the image is for x86_64" in told
    assert seen(node)["instance_info"] == {}
    fleet.client("set", "--property", "cpu_arch=x86_64", node)
    done = fleet.deploy(node, "--image", "x86")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "its ramdisk is packed with zstd" in done.stderr


def test_several_nodes_are_told_at_a_time(fleet, proxy):
    nodes = [fleet.node() for _ in range(3)]
    done = fleet.deploy(*nodes, "--image", "pv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["name"] for one in json.loads(done.stdout)] == nodes
    first_start = next(i for i, line in enumerate(proxy.requests) if "states/provision" in line)
    told = {line for line in proxy.requests[:first_start] if line.startswith("PATCH")}
    assert len(told) > 1, proxy.requests


@pytest.mark.parametrize("status", [pytest.param(409, marks=pytest.mark.full), 503])
def test_a_storm_is_waited_out(fleet, proxy, seen, status):
    node = fleet.node()
    for method in ("GET", "PATCH", "PUT"):
        proxy.fail(status, method, "/v1/", times=3)
    done = fleet.deploy(node, "--image", "pv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen(node)["instance_info"]["kernel_append_params"] == ARGS


def test_an_allocation_that_a_locked_database_ended_is_asked_for_anew(fleet, proxy, bare_metal):
    name, node = f"web-{fleet.project.name}", fleet.node()
    kind = f"alone-{node}"
    fleet.client("set", "--resource-class", kind, node)
    fleet.done("nodes", "power", node, "off")  # Ironic gives away whose power state it knows
    words = ["--image", "pv", "--resource-class", kind, "--name", name, "--json"]
    with locked(bare_metal, "UPDATE OF node_id ON allocations"):
        process = subprocess.Popen(
            [BAKERY, "nodes", "deploy", *words], env=os.environ | fleet.env, stdout=subprocess.PIPE
        )
        until(lambda: f"DELETE /v1/allocations/{name}-1" in proxy.requests)
    told, _ = process.communicate()
    assert process.returncode == 0, told
    assert [one["name"] for one in json.loads(told)] == [node]


def test_answers_that_are_lost_start_nothing_twice(fleet, proxy, seen):
    node = fleet.node()
    proxy.lose_answers("PATCH", "/v1/nodes", times=2)
    proxy.lose_answers("PUT", "/states/provision", times=1)
    done = fleet.deploy(node, "--image", "pv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen(node)["provision_state"] == "active"


def test_a_lock_is_waited_for(fleet, bare_metal):
    node = fleet.node()
    set_lock(bare_metal, node, ANOTHER)
    freed = threading.Timer(4, set_lock, (bare_metal, node, None))
    freed.start()
    done = fleet.deploy(node, "--image", "pv")
    assert not freed.is_alive()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_lock_that_stays_is_told_and_keeps_no_other_node_from_its_image(
    fleet, bare_metal, deploys, seen
):
    locked, other = fleet.node(), fleet.node()
    set_lock(bare_metal, locked, ANOTHER)
    this = deploys("pv", "ramdisk")
    this.ironic.session.patience_seconds = 1.0
    nodes = [this.ironic.get(name) for name in (locked, other)]
    this.check(nodes)
    refusal, sent = deploy.deploy(this, nodes, report.silent(), 60)
    assert (sent.state, sent.error) == ("active", "")
    assert (refusal.name, refusal.state) == (locked, "available")
    assert f"is locked by host {ANOTHER}" in refusal.error
    set_lock(bare_metal, locked, None)
    assert seen(locked)["instance_info"] == {}


@pytest.mark.parametrize(
    ("image", "method"), [("pv", "ramdisk"), pytest.param("disk", "direct", marks=pytest.mark.full)]
)
def test_an_image_that_is_deleted_between_look_and_deploy_is_told_by_ironic(
    fleet, bare_metal, deploys, image, method
):
    (name,) = fleet.deaf(1) if method == "direct" else [fleet.node()]
    this = deploys(image, method)
    node = this.ironic.get(name)
    this.check([node])
    Glance(fleet.project, bare_metal.image_url).clear()
    (sent,) = deploy.deploy(this, [node], report.silent(), 60)
    assert "could not be found" in sent.error
    assert f"no image is called '{image}'" in refused(fleet.deploy(name, "--image", image))
    fleet.upload()
    if method == "ramdisk":
        done = fleet.deploy(name, "--image", image)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("undo", [True, False])
def test_an_interrupt_leaves_ironic_at_work_or_takes_all_back(fleet, seen, undo):
    nodes = fleet.deaf(2)
    before = [seen(node) for node in nodes]
    words = ["nodes", "deploy", *nodes, "--image", "disk", *(["--undo"] if undo else [])]
    process = subprocess.Popen(
        [BAKERY, *words],
        env=os.environ | fleet.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: {seen(node)["provision_state"] for node in nodes} == {WAITING})
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGINT, said
    assert "Traceback" not in said
    for node, was in zip(nodes, before, strict=True):
        shown = seen(node)
        if undo:
            assert shown["provision_state"] == "available"
            assert shown["instance_info"] == was["instance_info"]
            assert shown["deploy_interface"] == was["deploy_interface"]
        else:
            assert shown["provision_state"] == WAITING
    if not undo:
        assert "to undo: bakery nodes undeploy" in said
        told = fleet.done("nodes", "undeploy", *nodes)
        assert sorted(told.splitlines()) == sorted(f"{node}: available" for node in nodes)


def test_an_interrupt_in_the_midst_of_the_telling_takes_all_back(fleet, proxy, seen):
    nodes = fleet.deaf(3)
    before = [seen(node) for node in nodes]
    proxy.requests.clear()
    proxy.fail(503, "PUT", "/states/provision", times=1000)  # none of them gets further
    process = subprocess.Popen(
        [BAKERY, "nodes", "deploy", *nodes, "--image", "disk", "--undo"],
        env=os.environ | fleet.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    asked = [f"{was['uuid']}/states/provision" for was in before]
    until(lambda: all(any(path in line for line in proxy.requests) for path in asked))
    assert all(seen(node)["instance_info"] for node in nodes)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGINT, said
    assert "Traceback" not in said
    for node, was in zip(nodes, before, strict=True):
        shown = seen(node)
        for key in ("provision_state", "instance_info", "deploy_interface"):
            assert shown[key] == was[key]


@pytest.fixture(scope="module")
def short_tokens(bare_metal: Services) -> Iterator[None]:
    """For the last test of the module: a Keystone that is started anew outlives its test."""
    with bare_metal.tokens_of(TOKEN_SECONDS):
        yield


def test_tokens_that_expire_while_it_waits_are_renewed(fleet, short_tokens):
    (node,) = fleet.deaf(1)
    started = time.monotonic()
    done = fleet.deploy(node, "--image", "disk", "--timeout", str(2 * TOKEN_SECONDS))
    assert time.monotonic() - started > 2 * TOKEN_SECONDS
    assert f"still {WAITING} when time was up" in done.stdout, done.stderr
    assert done.returncode == 1
    back = fleet.bakery("nodes", "undeploy", node)
    assert back.returncode == 0, back.stderr
