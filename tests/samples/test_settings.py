import pytest

from bakery.samples import settings


@pytest.fixture
def programs(monkeypatch):
    """What was run in the tree, and what it was given to read."""
    calls = []

    def inside(_tree, argv, *, stdin=b""):
        calls.append((argv, stdin))

    monkeypatch.setattr(settings, "run_inside", inside)
    return calls


@pytest.fixture
def tree(tmp_path, programs):
    """A tree with the directories packages leave; programs are noted, not run."""
    (tmp_path / "etc/systemd/network").mkdir(parents=True)
    (tmp_path / "etc/systemd/system").mkdir()
    (tmp_path / "etc/systemd/system/fstrim.timer").write_text("[Timer]\n")
    (tmp_path / "etc/inputrc").write_text("set bell-style none\n")
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


def test_the_network_comes_up_and_root_has_a_password(tree, programs):
    assert "DHCP=yes" in (tree / "etc/systemd/network/80-wired.network").read_text()
    assert (tree / "etc/hosts").read_text().splitlines()[0] == "127.0.0.1 localhost atomic"
    assert programs == [
        (["systemctl", "enable", "systemd-networkd.service"], b""),
        (["chpasswd", "--crypt-method", "SHA512"], b"root:bakery\n"),
    ]


def test_what_is_masked_already_is_masked_once_more(tree, programs):
    settings.apply(tree)
    assert (tree / "etc/systemd/system/fstrim.timer").is_symlink()
