import json

import pytest

from bakery.openstack.ironic import document
from bakery.openstack.ironic.document import DEPTH_LIMIT, Unreadable, load


@pytest.fixture
def read(tmp_path):
    """The tree in a text, or what is said against it."""

    def of(text: str | bytes, name: str = "nodes.yaml") -> object:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(file).tree

    return of


def refused(read, text, name="nodes.yaml"):
    with pytest.raises(Unreadable) as caught:
        read(text, name)
    message = caught.value.message
    assert message.isprintable()
    return message + " " + caught.value.hint


def test_yaml_and_json_give_the_same_tree(read):
    tree = {"nodes": [{"name": "one", "cpus": 4, "on": True, "x": None, "f": 1.5}]}
    assert read(json.dumps(tree), "nodes.json") == tree
    assert read(json.dumps(tree), "nodes.yaml") == tree
    assert read("nodes:\n- {name: one, cpus: 4, 'on': yes, x: , f: 1.5}") == tree


@pytest.mark.parametrize("mac", ["52:54:00:12:34:56", "10:20:30:40:50:10", "00:11:22:33:44:55"])
def test_a_mac_without_quotes_is_no_number_in_base_60(read, mac):
    assert read(f"address: {mac}") == {"address": mac}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-22", "2026-11-22"), ("1:30", "1:30"), ("1:30.5", "1:30.5"),
        ("0x10", 16), ("1_000", 1000), ("-7", -7), ("0", 0), ("1e3", "1e3"), ("1.0e+3", 1000.0),
        ('"0x10"', "0x10"), ("no", False), ("~", None), ("08", "08"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_without_dates_and_base_60(read, text, value):
    assert read(f"x: {text}") == {"x": value}


def test_aliases_and_merges_work(read):
    text = "a: &bmc {user: x, port: 1}\nb: {<<: *bmc, port: 2}\nc: *bmc"
    assert read(text)["b"] == {"user": "x", "port": 2}


def test_an_alias_bomb_is_refused_before_it_goes_off(read):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert "more than" in refused(read, "\n".join(lines))


def test_a_merge_bomb_is_refused(read):
    keys = ", ".join(f"k{i}: 1" for i in range(2000))
    lines = [f"base: &base {{{keys}}}", *(f"n{i}: {{<<: *base}}" for i in range(1200))]
    assert "more than" in refused(read, "\n".join(lines))


def test_an_alias_into_itself_is_refused(read):
    assert "alias" in refused(read, "a: &a [*a]")


@pytest.mark.parametrize("name", ["nodes.yaml", "nodes.json"])
def test_deep_nesting_is_refused(read, name):
    assert "nested" in refused(read, "[" * 100 + "]" * 100, name)
    assert "nested" in refused(read, "[" * 200_000 + "]" * 200_000, name)


@pytest.mark.parametrize("name", ["nodes.yaml", "nodes.json"])
def test_a_key_that_is_there_twice_is_refused(read, name):
    assert "twice" in refused(read, '{"a": 1, "b": {"c": 1, "c": 2}}', name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: *gesheim1", "quotes"),
        ("a: !gesheim1 x", "quotes"),
        ("a: !!python/object/apply:os.system [gesheim1]", "tag"),
        ("a: !!binary gesheim1", "tag"),
        ("a: 'gesheim1", "line"),
        ("a: gesheim1: b", "line"),
        ("{gesheim1: [}", "line"),
        ("a: 1\n---\nb: gesheim1", "second document"),
        ("? [gesheim1]\n: 2", "key"),
        ("1: gesheim1", "key"),
        ("a: .inf #gesheim1", "number"),
        ("a: " + "9" * 5000 + " #gesheim1", "large"),
        ("%FOO gesheim1\n--- a", "line"),
        ('a: "\\q gesheim1"', "line"),
        ("\tgesheim1", "line"),
        ("a: &x gesheim1\nb: *y", "alias"),
    ],
)
def test_what_is_no_plain_yaml_is_told_in_a_line_that_repeats_nothing(read, text, words):
    said = refused(read, text)
    assert words in said
    assert "gesheim1" not in said


@pytest.mark.parametrize(
    "text", ['{"a": gesheim1}', '{"a": "gesheim1}', '{"gesheim1"', "", "[1,]", '{"a": "\\ud800"}',
             '{"a": NaN}', '{"a": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_what_is_no_json_is_told_in_a_line_that_repeats_nothing(read, text):
    assert "gesheim1" not in refused(read, text, "nodes.json")


def test_what_is_no_text_is_told(read):
    assert "UTF-8" in refused(read, b"a: \xff")
    assert "not YAML" in refused(read, b"a: \x00\x01")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "nodes.yaml").write_text("#" * ((1 << 20) + 1))
    with pytest.raises(Unreadable, match="larger than 1 MiB"):
        load(tmp_path / "nodes.yaml", limit_bytes=1 << 20)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(Unreadable, match="No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(Unreadable, match="Is a directory"):
        load(tmp_path)


def test_a_file_may_be_as_large_as_the_limit(tmp_path):
    path = tmp_path / "nodes.yaml"
    path.write_text("a: 1\n" + "#" * 5)
    assert load(path, limit_bytes=10).tree == {"a": 1}
    path.write_text("a: 1\n" + "#" * 6)
    with pytest.raises(Unreadable, match="larger than") as caught:
        load(path, limit_bytes=10)
    assert caught.value.hint == "describe fewer nodes in a file"


@pytest.mark.parametrize("name", ["nodes.yaml", "nodes.json"])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_lists_and_mappings_may_be_nested_to_the_limit(read, name, opens, closes):
    def nested(depth):
        return opens * depth + "1" + closes * depth

    deepest = DEPTH_LIMIT if name.endswith("json") else DEPTH_LIMIT - 1
    assert read(nested(deepest), name)
    assert "nested" in refused(read, nested(deepest + 1), name)


@pytest.mark.parametrize("text", ["[a, a, a, a]", "&x [a, a, a, a]", "{a: a, b: a}"])
def test_a_text_may_have_as_many_values_as_the_limit(read, monkeypatch, text):
    for limit, fits in ((6, True), (5, False)):
        monkeypatch.setattr(document, "VALUES_LIMIT", limit)
        if fits:
            assert read(text)
        else:
            assert "line 1: it has more than 5 values" in refused(read, text)


def test_an_alias_counts_as_often_as_it_stands_there(read, monkeypatch):
    monkeypatch.setattr(document, "VALUES_LIMIT", 14)
    assert read("- &a [x, x]\n- *a\n- *a\n- *a\n")
    assert "more than 14" in refused(read, "- &a [x, x]\n- *a\n- *a\n- *a\n- *a\n")


def test_the_place_of_a_fault_is_told(read):
    assert "line 3: a key appears twice" in refused(read, "a: 1\nb: 2\na: 3\n")
    assert "line 2, column 4" in refused(read, "a: 1\nb: @\n")
    assert "line 2, column 5" in refused(read, '{"a":\n "b": 1}', "nodes.json")


def test_a_value_that_is_like_a_key_is_none(read):
    assert read("{a: b, b: a, c: a}") == {"a": "b", "b": "a", "c": "a"}
    assert read("[a, a]") == ["a", "a"]
    assert read("a: [x]\nb: {x: 1}\n") == {"a": ["x"], "b": {"x": 1}}
    assert "twice" in refused(read, "{a: [x], b: {}, a: 1}")


def test_tags_of_plain_values_are_read(read):
    text = "a: !!str 1\nb: !!int '2'\nc: !!seq [1]\nd: !!map {e: 1}\nf: ! g"
    assert read(text) == {"a": "1", "b": 2, "c": [1], "d": {"e": 1}, "f": "g"}
    assert "a YAML tag" in refused(read, "a: !!set {b}")


@pytest.mark.parametrize("name", ["nodes.yaml", "nodes.json"])
def test_halves_of_characters_are_refused_and_whole_ones_are_not(read, name):
    assert read('{"a": "\\u00e9 é"}', name) == {"a": "é é"}
    assert "surrogate" in refused(read, '["\\ud800"]', "nodes.json")


def test_a_mark_of_the_byte_order_is_no_part_of_the_text(read):
    assert read(b"\xef\xbb\xbfa: 1") == {"a": 1}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numbers_without_a_size_are_refused(read, text):
    assert "infinite or NaN" in refused(read, f"[{text}]", "nodes.json")
