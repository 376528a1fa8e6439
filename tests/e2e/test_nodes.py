"""`bakery nodes` on a real Ironic: from a file to nodes, twice, through faults, and killed."""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conductor.targets import until
from tests.conftest import BAKERY
from tests.e2e.ironic_database import locked
from tests.e2e.nodes import PASSWORD, asked, entry, there, written
from tests.processes import Aim, killed_after, moments
from tests.services.openstack import SYSTEM
from tests.services.proxy import Proxy
from tests.watch import files_with, watching

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bare-metal")]

SEED = 20150310
MADE = 12  # more than are made at one time, so that some runs end between them
WRITING = ("POST", "PUT", "PATCH", "DELETE")
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def project(bare_metal):
    return bare_metal.fresh_project()


@pytest.fixture
def env(project):
    return project.env(SYSTEM)


@pytest.fixture
def ironic(project, monkeypatch):
    return asked(project, monkeypatch)


@pytest.fixture
def nodes(bakery, env):
    """Run `bakery nodes` with these words; no output ever holds the password."""

    def run(*words):
        done = bakery("nodes", *words, env=env)
        assert PASSWORD not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def proxy(bare_metal):
    with Proxy(bare_metal.ironic.url) as running, running.in_front_of(bare_metal, "baremetal"):
        yield running


@pytest.fixture
def some(tmp_path):
    """A file of so many new nodes, whose names begin with the prefix that comes with it."""

    def make(count, **more):
        first = next(NUMBERS)
        prefix = f"t{first}-"
        made = [entry(f"{prefix}{i}", (first << 16) + i, **more) for i in range(count)]
        return written(tmp_path / f"{prefix}nodes.json", *made), prefix, made

    return make


def told(done):
    assert done.returncode == 0, done.stderr
    return [node["action"] for node in json.loads(done.stdout)["nodes"]]


def assert_as_described(ironic, prefix, made):
    """Each node is there once, with its one port and its traits."""
    found = there(ironic, prefix)
    assert [node.name for node in found] == sorted(node["name"] for node in made)
    ports = {port.address: port.node_uuid for port in ironic.ports()}
    for node, wanted in zip(found, sorted(made, key=lambda one: one["name"]), strict=True):
        assert node.traits == tuple(sorted(wanted["traits"]))
        assert node.fields["resource_class"] == wanted["resource_class"]
        properties = node.fields["properties"]
        assert isinstance(properties, dict)
        assert properties == wanted["properties"]
        assert ports.pop(wanted["ports"][0]["address"]) == node.uuid
        assert node.uuid not in ports.values()


def writes(proxy):
    return [line for line in proxy.requests if line.startswith(WRITING)]


def test_a_second_run_changes_nothing_and_asks_little(nodes, ironic, proxy, some):
    file, prefix, made = some(5)
    assert told(nodes("enroll", file, "--json")) == ["created"] * 5
    assert_as_described(ironic, prefix, made)
    assert len(writes(proxy)) == 3 * 5
    proxy.requests.clear()
    done = nodes("enroll", file)
    assert (done.returncode, done.stdout) == (0, "5 unchanged\n")
    assert writes(proxy) == []
    assert 0 < len(proxy.requests) <= 8


def test_no_password_is_shown_or_kept_while_nodes_are_enrolled(nodes, some, tmp_path):
    file, _, _ = some(MADE)
    with watching() as watch:
        assert told(nodes("enroll", file, "--json", "-v", "--provide")) == ["created"] * MADE
        assert told(nodes("enroll", file, "--json", "-v", "--send-secrets")) == ["updated"] * MADE
    assert watch.programs("\0enroll\0")
    assert watch.showed(PASSWORD) == []
    assert files_with(PASSWORD, tmp_path) == {file}


def test_what_the_file_changes_is_changed_alone(nodes, ironic, some, tmp_path):
    file, prefix, made = some(3)
    nodes("enroll", file)
    made[1]["properties"] |= {"cpus": 8, "local_gb": 10}
    made[1]["traits"] = ["CUSTOM_RACK"]
    written(file, *made)
    dry = json.loads(nodes("enroll", file, "--dry-run", "--json").stdout)
    assert [node["action"] for node in dry["nodes"]] == ["none", "update", "none"]
    done = nodes("enroll", file)
    assert "properties.cpus 4 → 8" in done.stdout
    assert "1 updated, 2 unchanged" in done.stdout
    assert_as_described(ironic, prefix, made)


def test_a_file_with_anything_wrong_in_it_changes_nothing(nodes, ironic, proxy, some):
    file, prefix, made = some(3)
    made[2]["driver"] = "fake-hardwear"
    made[1] |= {"boot_interface": "ipx"}
    made[0]["driver_info"]["deploy_kernal"] = "x"
    done = nodes("enroll", written(file, *made))
    assert done.returncode == 1
    assert "no driver 'fake-hardwear'; did you mean 'fake-hardware'?" in done.stderr
    assert "'ipx' is not enabled for the driver fake-hardware" in done.stderr
    assert writes(proxy) == []
    assert there(ironic, prefix) == []


def test_a_mac_of_another_node_is_refused_by_name(nodes, proxy, some):
    file, prefix, made = some(1)
    nodes("enroll", file)
    proxy.requests.clear()
    other = entry("other", 0, ports=made[0]["ports"])
    done = nodes("enroll", written(file, other))
    assert done.returncode == 1
    assert f"is a port of another node of the cloud: '{prefix}0'" in done.stderr
    assert writes(proxy) == []


def test_a_project_that_may_not_list_drivers_is_told(nodes, some):
    file, _, _ = some(1)
    done = nodes("enroll", file, "--cloud", "admin", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "drivers and interfaces are not checked" in done.stderr
    assert "1 to create" in done.stdout


@pytest.mark.parametrize("status", [409, pytest.param(503, marks=pytest.mark.full)])
def test_a_storm_is_waited_out(nodes, ironic, proxy, some, status):
    file, prefix, made = some(4)
    for method in ("GET", "POST", "PUT"):
        proxy.fail(status, method, "/v1/", times=6)
    assert told(nodes("enroll", file, "--json")) == ["created"] * 4
    assert_as_described(ironic, prefix, made)


def test_a_database_that_is_locked_for_a_while_is_waited_for(
    nodes, ironic, proxy, some, bare_metal
):
    file, prefix, made = some(4)
    with ThreadPoolExecutor() as pool, locked(bare_metal, "INSERT ON nodes"):
        enrolling = pool.submit(nodes, "enroll", file, "--json")
        until(lambda: proxy.requests.count("POST /v1/nodes") > len(made))
    assert told(enrolling.result()) == ["created"] * 4
    assert_as_described(ironic, prefix, made)


def test_answers_that_are_lost_make_nothing_twice(nodes, ironic, proxy, some):
    file, prefix, made = some(4)
    proxy.lose_answers("POST", "/v1/nodes", times=3)
    proxy.lose_answers("POST", "/v1/ports", times=3)
    assert set(told(nodes("enroll", file, "--json"))) <= {"created", "updated"}
    assert_as_described(ironic, prefix, made)


def test_a_token_that_expires_on_the_way_is_renewed(nodes, ironic, proxy, some):
    file, prefix, made = some(3)
    proxy.fail(401, "POST", "/v1/ports", times=1)
    assert told(nodes("enroll", file, "--json", "--concurrency", "1")) == ["created"] * 3
    assert_as_described(ironic, prefix, made)


def test_a_storm_that_does_not_end_is_told(ironic, monkeypatch):
    from bakery.openstack.connection import CloudError

    monkeypatch.setattr(ironic.session, "patience_seconds", 1.0)
    adapter = ironic.session.adapter
    with Proxy(adapter.get_endpoint()) as one:
        one.fail(503, times=100)
        monkeypatch.setattr(adapter, "endpoint_override", one.url + "/v1")
        with pytest.raises(CloudError) as caught:
            ironic.nodes()
    assert caught.value.status == 503


def test_nodes_go_to_available_and_stay_there(nodes, ironic, some):
    file, prefix, _ = some(3)
    done = nodes("enroll", file, "--provide", "--json")
    assert done.returncode == 0, done.stderr
    assert [n["provision_state"] for n in json.loads(done.stdout)["nodes"]] == ["available"] * 3
    again = nodes("enroll", file, "--manage", "--inspect", "--provide", "--json")
    assert told(again) == ["unchanged"] * 3
    assert {n.fields["provision_state"] for n in there(ironic, prefix)} == {"available"}


def test_nodes_are_inspected_once_and_where_that_cannot_be_its_reason_is_told(nodes, ironic, some):
    file, prefix, made = some(3, inspect_interface="fake")
    made[2]["inspect_interface"] = "no-inspect"
    done = nodes("enroll", written(file, *made), "--inspect", "--json")
    assert done.returncode == 1
    ended = json.loads(done.stdout)["nodes"]
    assert [node["provision_state"] for node in ended] == ["manageable"] * 3
    assert [bool(node["error"]) for node in ended] == [False, False, True]
    assert "inspect led back to manageable" in ended[2]["error"]
    when = [node.fields["inspection_finished_at"] for node in there(ironic, prefix)]
    assert all(when[:2]) and not when[2]
    again = nodes("enroll", written(file, *made[:2]), "--inspect", "--provide", "--json")
    assert told(again) == ["unchanged"] * 2
    found = there(ironic, prefix)[:2]
    assert [node.fields["inspection_finished_at"] for node in found] == when[:2]
    assert [node.fields["provision_state"] for node in found] == ["available"] * 2


def test_nodes_are_listed_shown_and_switched(nodes, some):
    file, prefix, made = some(2)
    nodes("enroll", file, "--manage")
    name = f"{prefix}0"
    assert name in nodes("list").stdout
    shown = json.loads(nodes("show", name, "--json").stdout)
    assert shown["driver_info"]["password"] == "******"
    assert [port["address"] for port in shown["ports"]] == [made[0]["ports"][0]["address"]]
    for word, state in (("on", "power on"), ("reboot", "power on"), ("off", "power off")):
        assert nodes("power", name, word).stdout == f"{name}: {state}\n"
    assert nodes("boot-device", name, "pxe").stdout == f"{name}: boots from pxe next time\n"
    assert "did you mean 'pxe'?" in nodes("boot-device", name, "pxf").stderr
    wrong = nodes("show", f"{prefix}O")
    assert wrong.returncode == 1
    assert f"did you mean '{prefix}" in wrong.stderr


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.full)])
def test_killed_at_moments_of_each_part_and_run_again(nodes, ironic, env, some, kills):
    file, _, _ = some(MADE)
    started = time.monotonic()
    nodes("enroll", file)
    whole = time.monotonic() - started
    aimed, hits, left = Aim(0.4, whole, kills, SEED), 0, set()
    for _ in range(kills * 3):
        file, prefix, made = some(MADE)
        argv = [BAKERY, "nodes", "enroll", file, "-q"]
        seconds = aimed.next()
        hits += killed_after(seconds, argv, env)
        count = len(there(ironic, prefix))
        aimed.met(seconds, begun=count > 0, ended=count == MADE)
        left.add(count)
        done = nodes("enroll", file)
        assert done.returncode == 0, done.stderr
        assert_as_described(ironic, prefix, made)
        if hits >= kills and len(left) > 2:
            break
    assert hits >= kills
    assert len(left) > 2, f"the kills did not spread over the work: {left}"


def test_nameless_nodes_are_made_once_by_a_killed_run_too(nodes, ironic, env, some):
    for seconds in itertools.islice(moments(4, 0.6, 2.5, SEED), 4):
        file, _, made = some(4)
        written(file, *({k: v for k, v in one.items() if k != "name"} for one in made))
        before = {node.uuid for node in ironic.nodes()}
        killed_after(seconds, [BAKERY, "nodes", "enroll", file, "-q"], env)
        assert nodes("enroll", file).returncode == 0
        new = {node.uuid for node in ironic.nodes()} - before
        addresses = {one["ports"][0]["address"] for one in made}
        owners = [port.node_uuid for port in ironic.ports() if port.address in addresses]
        assert (len(new), set(owners), len(owners)) == (4, new, 4)


@pytest.mark.parametrize("many", [60, pytest.param(1000, marks=pytest.mark.full)])
def test_many_nodes_are_enrolled_and_the_next_time_compared(nodes, some, many):
    file, _, _ = some(many)
    done = nodes("enroll", file)
    assert done.returncode == 0, done.stderr
    assert nodes("enroll", file).stdout == f"{many} unchanged\n"
