import pytest

from bakery.devstack import sources
from bakery.host.errors import BakeryError
from bakery.openstack.ironic import releases

REFS = {
    "juno": "juno-eol",
    "xena": "xena-eol",
    "yoga": "unmaintained/yoga",
    "2023.1": "unmaintained/2023.1",
    "2023.2": "2023.2-eol",
    "2024.1": "unmaintained/2024.1",
    "2024.2": "2024.2-eol",
    "2025.1": "stable/2025.1",
}


@pytest.mark.parametrize(("release", "ref"), REFS.items())
def test_a_release_is_a_branch_or_the_tag_of_its_end(release, ref):
    assert sources.git_ref(release) == ref


def test_kilo_has_neither():
    with pytest.raises(BakeryError, match="Kilo") as refused:
        sources.git_ref("kilo")
    assert "juno or liberty" in refused.value.hint


@pytest.mark.parametrize(
    ("ref", "release"),
    [
        ("master", releases.NEWEST),
        ("origin/stable/2025.1", ""),
        ("stable/2025.1", "2025.1"),
        ("origin/2025.1", "2025.1"),
        ("unmaintained/zed", "zed"),
        ("train-em", "train"),
        ("train-eom", "train"),
        ("a-branch-of-mine", ""),
    ],
)
def test_a_ref_tells_its_release_or_nothing(ref, release):
    assert sources.release_of(ref) == release


def test_the_plugin_came_with_mitaka():
    order = list(releases.ORDER)
    first = order.index("mitaka")
    assert [sources.has_plugin(one) for one in order] == [n >= first for n in range(len(order))]
