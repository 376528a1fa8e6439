"""Faults of a nodes file as lines and as a document; the commands that tell them have more."""

import json
from pathlib import Path

from bakery.cli import nodes_problems
from bakery.cli.options import Output
from bakery.openstack.ironic import nodes_file


def test_many_are_cut_on_a_terminal_and_whole_in_a_document(capsys, tmp_path):
    file = tmp_path / "rack.json"
    file.write_text(json.dumps({"nodes": [{"name": f"n{n}"} for n in range(60)]}, indent=1))
    fleet = nodes_file.read(file)
    done = nodes_problems.refused(Output(json=True), file, fleet, "nothing was done", {"x": 1})
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert done == 1 and len(lines) == nodes_problems.SHOWN + 2
    assert lines[0] == f"{file}:3: nodes[0] (n0): driver: is missing"
    assert lines[-1] == f"bakery: {file}: 60 problems, nothing was done"
    document = json.loads(told.out)
    assert (len(document["problems"]), document["x"]) == (60, 1)
    assert document["problems"][1] == {
        "node": "nodes[1] (n1)", "field": "driver", "message": "is missing", "line": 6
    }  # fmt: skip


def test_a_fault_without_a_line_is_told_without_one(capsys):
    fleet = nodes_file.parse({"nodes": [{"name": "n"}]})  # of no text
    nodes_problems.refused(Output(), Path("rack.yaml"), fleet, "")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "rack.yaml: nodes[0] (n): driver: is missing",
        "bakery: rack.yaml: 1 problem",
    ]
