import pytest

from bakery.lab import settings


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree with the directories packages leave; programs are noted, not run."""
    (tmp_path / "etc/systemd/network").mkdir(parents=True)
    (tmp_path / "etc/systemd/system").mkdir()
    (tmp_path / "etc/systemd/system/fstrim.timer").write_text("[Timer]\n")
    (tmp_path / "etc/inputrc").write_text("set bell-style none\n")
    monkeypatch.setattr(settings, "run_inside", lambda *_args, **_words: None)
    settings.apply(tmp_path)
    return tmp_path


def test_units_and_generators_are_masked_whatever_was_there(tree):
    for name in settings.MASKED_UNITS:
        assert (tree / "etc/systemd/system" / name).readlink().as_posix() == "/dev/null"
    for name in settings.MASKED_GENERATORS:
        assert (tree / "etc/systemd/system-generators" / name).is_symlink()


def test_the_machine_has_a_name_and_no_identity_yet(tree):
    assert (tree / "etc/hostname").read_text() == "atomic\n"
    assert (tree / "etc/machine-id").read_bytes() == b""


def test_settings_of_packages_are_kept_where_lines_are_added(tree):
    lines = (tree / "etc/inputrc").read_text().splitlines()
    assert lines == ["set bell-style none", "set enable-bracketed-paste off"]
