"""Each parser is fuzzed: what takes bytes or texts apart is run by a target, or is named here."""

import ast
import re
from collections.abc import Mapping

import pytest

from bakery.system import os_release
from tests.fuzz.reach import PACKAGE, dissectors, reached
from tests.fuzz.seeds import targets

pytestmark = pytest.mark.xdist_group("fuzz")

OWN: Mapping[str, tuple[str, ...]] = {
    "a message between two processes of bakery's, over a pipe": (
        "bmc/answer.py:serve",
        "bmc/worker.py:Worker.do",
        "conductor/conductor.py:main",
        "conductor/launch.py:run",
        "disk/copy/confined_copy.py:main",
        "image/engines/confined_worker.py:Worker.take",
        "lab/control.py:_understood",
        "lab/control.py:up",
        "lab/keeper.py:main",
    ),
    "an option of the user's own": (
        "build/spec.py:_name",
        "cli/build.py:_bytes",
        "cli/build.py:_options",
        "cli/options.py:Seconds.convert",
        "devstack/settings.py:make",
        "lab/node.py:disk_size",
        "netboot/site_config.py:Site.__post_init__",
        "netboot/subnet.py:",
    ),
    "the result of a stage, whose stamp says that it is as the stage left it": (
        "build/stages/job.py:Job.read",
        "build/stages/stage.py:Inputs.read",
    ),
    "what the kernel of this machine tells": (
        "conductor/interface.py:",
        "devstack/host.py:this",
        "host/folders.py:_umask",
        "host/memory.py:bounded",
        "lab/state.py:keeper_pid",
        "netboot/neighbours.py:holder",
        "node/agent/disks.py:_is_bmc_media",
        "node/agent/disks.py:_sector",
        "node/agent/disks.py:read",
        "node/agent/notice.py:Notice.port",
    ),
    "programs, kernels and packages of this machine's distribution": (
        "doctor.py:_version",
        "node/ramdisk/",
        "samples/",
        "vm/firmware.py:_usable",
    ),
    "a number, an address or a digest already, made by who read it": (
        "build/scrub/add.py:_add_file",
        "conductor/write_list.py:terms",
        "devstack/journal.py:Journal.note",
        "disk/copy/plain.py:_Told._note",
        "disk/copy/plain.py:copy",
        "image/engines/survey.py:groups",
        "netboot/dhcp.py:DhcpServer.__init__",
        "netboot/dhcp.py:DhcpServer._is_a_relays",
        "netboot/dhcp_probe.py:answering",
        "netboot/leases.py:Leases._free",
        "node/agent/main.py:write_it",
        "openstack/ironic/session.py:Session.__init__",
    ),
    "the arguments of a deploy step, which Ironic's operator gives": ("node/hardware_manager.py:",),
    "a header that tests/fuzz/live.py sends": (
        "netboot/http_connection.py:Connection._body_length",
    ),
}
"""Functions and beginnings of their names, by what they take apart: nobody else's bytes."""
NAMED = tuple(name for names in OWN.values() for name in names)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The functions that the targets' seeds reach."""
    made = targets(tmp_path_factory.mktemp("reach"))
    return reached(lambda: [target.parse(target.seed) for target in made])


def test_what_takes_strangers_bytes_apart_is_fuzzed(run):
    assert [one for one in sorted(dissectors() - run) if not one.startswith(NAMED)] == []


def test_what_is_named_as_bakerys_own_is_there_and_is_not_fuzzed_all_the_same(run):
    left = dissectors() - run
    assert [name for name in NAMED if not any(one.startswith(name) for one in left)] == []


def test_who_expects_json_to_be_wrong_expects_it_to_be_too_deep_as_well():
    """Too many brackets are told by a RecursionError, which is no ValueError."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Try):
                continue
            tried = " ".join(ast.unparse(one) for one in node.body)
            caught = " ".join(ast.unparse(one.type) for one in node.handlers if one.type)
            decodes = re.search(r"\bjson\.(loads?|decode)\(", tried)
            expects = re.search(r"\b(ValueError|DecodeError|MsgspecError)\b", caught)
            if decodes and expects and "RecursionError" not in caught:
                wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert wrong == []


def test_a_parser_is_known_by_its_source_and_by_having_run():
    found = dissectors()
    assert {"netboot/dhcp_packet.py:Packet.architectures", "disk/volumes/xfs.py:_child"} <= found
    assert {"image/engines/cell.py:_told", "vm/prove/signs.py:Signs._failed"} <= found
    assert "host/errors.py:BakeryError.__init__" not in found
    ran = reached(lambda: os_release.parse(b"ID=lab\n"))
    assert "system/os_release.py:parse" in ran
    assert "system/mdadm.py:mentions" not in ran
