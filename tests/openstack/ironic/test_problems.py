import pytest

from bakery.openstack.ironic.problems import KEPT, SHOWN, Problems, Spot, meant, nearest


def test_a_spot_leads_to_keys_and_indexes():
    problems = Problems()
    assert not problems
    Spot(problems, "n").at("ports").at(0).at("address").wrong("is missing")
    Spot(problems, "n").at(1).wrong("is odd")
    Spot(problems).wrong("it has no nodes:")
    assert problems
    assert list(map(str, problems.found)) == [
        *("n: ports[0].address: is missing", "n: [1]: is odd", "it has no nodes:"),
    ]


def test_of_very_many_problems_the_rest_is_counted():
    problems = Problems()
    for _ in range(KEPT + 2):
        Spot(problems).wrong("x")
    assert (len(problems.found), problems.count) == (1000, 1002)


def test_the_nearest_word_is_the_one_that_was_meant():
    assert nearest("drivr", ["driver", "river", "name"]) == "driver"
    assert nearest("xyz", ["driver"]) == ""
    assert nearest("drvr", ["driver"], cutoff=0.9) == ""
    assert nearest(7, ["7"]) == "7"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ([], "there are none"),
        (["b", "a"], "choose from: a, b"),
        (list("abcdefghijkl"), "choose from: a, b, c, d, e, f, g, h, i, j, k, l"),
        (list("abcdefghijklm"), "choose from: a, b, c, d, e, f, g, h, i, j, k, l, …"),
        (["wxyz"], "did you mean 'wxyz'?"),
    ],
)
def test_who_wrote_an_unknown_word_is_told_what_there_is(known, words):
    assert SHOWN == 12
    assert meant("wxy", known) == words
