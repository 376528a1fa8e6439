"""The line at which something of a nodes file stands, in YAML and in JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.openstack.ironic import document, nodes_file
from bakery.openstack.ironic.lines import Lines

YAML = """\
# a rack
nodes:
  - name: one
    driver: ipmi
    driver_info:
      ipmi_address: 10.0.0.1
      a.b: x
    ports:
      - address: 52:54:00:00:00:01
      - {address: 52:54:00:00:00:02}
  - name: two
    driver: redfish
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("", ""), 2),
        (("", "nodes"), 2),
        (("nodes[0] (one)", ""), 3),
        (("nodes[0] (one)", "driver"), 4),
        (("nodes[0] (one)", "driver_info"), 5),
        (("nodes[0] (one)", "driver_info.ipmi_address"), 6),
        (("nodes[0] (one)", "driver_info.a.b"), 7),
        (("nodes[0] (one)", "driver_info.ipmi_port"), 5),  # missing: what it belongs to
        (("nodes[0] (one)", "ports[0].address"), 9),
        (("nodes[0] (one)", "ports[1].address"), 10),
        (("nodes[0] (one)", "ports[7]"), 8),
        (("nodes[1] (two)", "driver"), 12),
        (("nodes[9]", "driver"), 2),
    ],
)
def test_a_place_has_the_line_of_its_key_or_of_what_it_belongs_to(place, line):
    assert Lines(YAML).of(*place) == line


def test_a_list_without_nodes_and_an_alias_are_followed():
    text = "- &a\n  name: one\n  driver: ipmi\n- *a\n"
    assert Lines(text).of("nodes[0] (one)", "driver") == 3
    assert Lines(text).of("nodes[1] (one)", "driver") == 3


@pytest.mark.parametrize("text", ["", "a: [", "a: !!python/name:os.system b", "\t"])
def test_what_cannot_be_read_has_no_line(text):
    assert Lines(text).of("nodes[0]", "x") in (0, 1)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    extra=st.dictionaries(NAMES, st.integers() | NAMES | st.lists(st.integers(), max_size=3)),
    before=st.integers(0, 5),
)
def test_every_fault_of_a_file_is_told_with_a_line_of_it(tmp_path_factory, extra, before):
    node = {**{f"x {key}": value for key, value in extra.items()}, "name": "n"}
    tree = {"nodes": [{"name": f"m{n}", "driver": "ipmi"} for n in range(before)] + [node]}
    file = tmp_path_factory.mktemp("lines") / "nodes.json"
    file.write_text(json.dumps(tree, indent=1))
    fleet = nodes_file.read(file)
    text = document.load(file).text.split("\n")
    assert fleet.problems
    for problem in fleet.problems.found:
        line = fleet.lines.of(*problem.place)
        assert 1 <= line <= len(text)
        if "unknown" in problem.message and max(problem.place[1]) < "\ud800":
            assert json.dumps(problem.place[1])[:-1] in text[line - 1]
