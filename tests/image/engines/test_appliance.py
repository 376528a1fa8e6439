import os
import subprocess
from pathlib import Path

import pytest

from bakery.host import sandbox
from bakery.image.engines import appliance


@pytest.fixture
def place(tmp_path: Path) -> appliance.Place:
    source = tmp_path / "a folder" / "disk.raw"
    source.parent.mkdir()
    source.write_text("the image")
    (tmp_path / "a folder" / "neighbour").write_text("not for the guest")
    for name in ("work", "work/guestfs", "cache"):
        (tmp_path / name).mkdir()
    return appliance.Place(
        source, tmp_path / "work", tmp_path / "work" / "guestfs", tmp_path / "cache"
    )


def inside(place: appliance.Place, script: str) -> subprocess.CompletedProcess[str]:
    words = appliance.cage(place)
    if not words:
        pytest.skip("bubblewrap does not work here")
    return subprocess.run([*words, "sh", "-c", script], capture_output=True, text=True, check=False)


def test_kvm_is_left_alone_unless_it_was_seen_to_work(place: appliance.Place):
    told = appliance.environment("tcg", place, caged=True)
    assert told["LIBGUESTFS_BACKEND_SETTINGS"] == "force_tcg"
    assert told["LIBGUESTFS_BACKEND"] == "direct"
    assert "LIBGUESTFS_BACKEND_SETTINGS" not in appliance.environment("kvm", place, caged=True)


def test_only_the_cache_outlives_the_session(place: appliance.Place):
    told = appliance.environment("tcg", place, caged=False)
    assert told["LIBGUESTFS_CACHEDIR"] == str(place.cache)
    folders = {told[name] for name in ("HOME", "TMPDIR", "LIBGUESTFS_TMPDIR")}
    assert folders == {str(place.scratch)}


def test_sockets_go_where_their_names_fit(place: appliance.Place):
    short = appliance.Place(place.source, place.work, Path("/w/guestfs"), place.cache)
    assert appliance.environment("tcg", short, caged=False)["XDG_RUNTIME_DIR"] == "/w/guestfs"
    long = appliance.Place(place.source, place.work, Path("/" + "w" * 90), place.cache)
    assert "XDG_RUNTIME_DIR" not in appliance.environment("tcg", long, caged=False)


def test_the_cage_shows_the_image_and_the_work_and_hides_the_rest(place: appliance.Place):
    assert inside(place, f"cat '{place.source}'").stdout == "the image"
    assert inside(place, f"cat '{place.source.parent}/neighbour'").returncode != 0
    for folder in ("/home", "/root", "/run"):
        if Path(folder).resolve() not in place.work.parents:
            assert inside(place, f"ls -A {folder}").stdout == ""


def test_in_the_cage_the_image_cannot_be_written_and_the_work_can(place: appliance.Place):
    assert inside(place, f"echo x > '{place.source}'").returncode != 0
    assert inside(place, f"chmod 777 '{place.source}'").returncode != 0
    assert inside(place, "touch /usr/x /etc/x").returncode != 0
    assert inside(place, f"echo x > '{place.work}/x' && echo x > '{place.cache}/x'").returncode == 0
    assert place.source.read_text() == "the image"
    assert (place.work / "x").read_text() == "x\n"


def test_in_the_cage_there_is_no_network_and_no_other_process(place: appliance.Place):
    links = inside(place, "cat /proc/net/dev").stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in links] == ["lo"]
    assert inside(place, f"kill -0 {os.getpid()}").returncode != 0
    capabilities = inside(place, "grep CapEff /proc/self/status").stdout.split()[1]
    assert int(capabilities, 16) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another")
def test_root_can_work_on_an_image_in_a_folder_of_another_user(place: appliance.Place):
    place.source.chmod(0o600)
    place.source.parent.chmod(0o700)
    for path in (place.source, place.source.parent):
        os.chown(path, 1234, 1234)
    assert inside(place, f"cat '{place.source}'").stdout == "the image"
    assert inside(place, f"echo x > '{place.source}'").returncode != 0


def test_where_no_other_proc_can_be_mounted_the_callers_serves(
    place: appliance.Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(appliance, "_proc", lambda: ())
    assert inside(place, "cat /proc/self/comm").stdout == "cat\n"


def test_without_a_working_cage_the_command_runs_bare(
    place: appliance.Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sandbox, "confined", lambda: False)
    assert appliance.cage(place) == []


def test_the_appliance_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    folder = appliance.appliance_cache(tmp_path)
    assert folder == tmp_path / "mine" / "bakery" / "appliance"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_the_user_has_no_cache_the_appliance_lives_with_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = appliance.appliance_cache(tmp_path)
    assert folder == tmp_path / "cache"
    assert folder.is_dir()
