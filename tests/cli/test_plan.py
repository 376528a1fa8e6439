"""`bakery plan` on the command line."""

import pytest

from bakery.build.plan import Plan, PlannedStage
from tests.cli.inside import document, told


@pytest.mark.parametrize(("layout", "said"), [("lv", "layout lv, engine "), ("", "engine ")])
def test_each_stage_is_told_with_what_is_left_to_do_and_why(monkeypatch, layout, said):
    stages = (PlannedStage("inspect", "have", "kept"), PlannedStage("base", "will run", "is new"))
    planned = Plan("a", layout, "direct", "it can", stages)
    asked = []

    def plan(*words):
        asked.append(words)
        return planned

    monkeypatch.setattr("bakery.build.plan.plan", plan)
    lines = told("plan", "x/a.qcow2", "--layout", "lv").splitlines()
    assert lines == [
        f"x/a.qcow2 -> a: {said}direct (it can)",
        "  inspect  have      kept",
        "  base     will run  is new",
    ]
    assert asked[0][1].layout == "lv" and str(asked[0][2]) == "a"
    assert document("plan", "x/a.qcow2")["steps"][0]["stage"] == "inspect"
