from bakery.lab.layers import content_key, publish


def test_a_key_depends_on_every_part_and_on_nothing_else():
    key = content_key("debian", 1, ["a", "b"])
    assert key == content_key("debian", 1, ("a", "b"))
    assert (
        len(
            {
                key,
                content_key("debian", 2, ["a", "b"]),
                content_key("debian", 1, ["b", "a"]),
                content_key("debian", 1, ["a"], "b"),
            }
        )
        == 4
    )


def test_publishing_replaces_what_was_there(tmp_path):
    draft, path = tmp_path / "draft", tmp_path / "final"
    path.write_text("old")
    draft.write_text("new")
    publish(draft, path)
    assert path.read_text() == "new"
    assert not draft.exists()
