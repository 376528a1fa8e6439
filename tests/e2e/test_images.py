"""What is published, how it is, and removing what nothing refers to; on a real Glance."""

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from bakery.openstack.glance import records
from tests.conftest import BAKERY
from tests.openstack.glance.publishing import files, made, upload

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

NOW = ("--older-than", "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture
def glance(cloud, monkeypatch):
    from bakery.openstack.glance.images import Images

    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)
    return Images.of_cloud(None)


@pytest.fixture
def listed(bakery, cloud):
    """What `bakery images --json` lists, by id."""

    def run():
        done = bakery("images", "--json", env=cloud.env())
        assert done.returncode == 0, done.stderr
        return {entry["id"]: entry for entry in json.loads(done.stdout)}

    return run


@pytest.fixture
def prune(bakery, cloud):
    """Run `bakery images prune` with these words."""

    def run(*words, **more):
        return bakery("images", "prune", *words, env=cloud.env(), **more)

    return run


def removed(done):
    assert done.returncode == 0, done.stderr
    return {one["id"] for one in json.loads(done.stdout)["removed"]}


def queued(glance, role, **properties):
    """A record without bytes, as a killed upload leaves it."""
    said = {records.ROLE: role, **properties}
    return glance.create(str(uuid.uuid4()), f"left-{role}", "raw", "bare", "private", said)


def test_a_published_build_is_listed_with_its_links_and_good(folder, cloud, bakery, listed):
    ids = upload(cloud, folder)
    found = listed()
    assert [found[ids[role]]["problems"] for role in ids] == [[], [], []]
    assert found[ids["base"]]["shape"] == "ami"
    assert found[ids["base"]]["links"] == {"kernel": ids["kernel"], "ramdisk": ids["ramdisk"]}
    shown = bakery("images", env=cloud.env())
    lines = [line for line in shown.stdout.splitlines() if "made" in line]
    assert [line.split()[0] for line in lines] == ["made", "made-kernel", "made-ramdisk"]
    assert all(any(image_id in line for line in lines) for image_id in ids.values())
    assert all(line.endswith("good") for line in lines)


def test_where_nothing_is_published_that_is_said(bakery, cloud, listed):
    done = bakery("images", env=cloud.env())
    assert (done.returncode, done.stdout) == (0, "nothing has been published here\n")
    assert listed() == {}


def test_the_links_of_a_whole_disk_are_known_as_well(folder, cloud, listed, glance):
    ids = upload(cloud, folder, "--as", "partition")
    base = glance.get(ids["base"])
    own = {
        records.OWN_KERNEL_ID: base.properties[records.KERNEL_ID],
        records.OWN_RAMDISK_ID: base.properties[records.RAMDISK_ID],
    }
    glance.update(base, properties=own, remove=[records.KERNEL_ID, records.RAMDISK_ID])
    found = listed()[ids["base"]]
    assert found["links"] == {"kernel": ids["kernel"], "ramdisk": ids["ramdisk"]}
    assert found["problems"] == []


def test_a_kernel_that_is_gone_is_seen(folder, cloud, glance, listed, bakery):
    ids = upload(cloud, folder)
    glance.delete(ids["kernel"])
    assert listed()[ids["base"]]["problems"] == [f"kernel gone: {ids['kernel']} is not there"]
    assert "kernel gone" in bakery("images", env=cloud.env()).stdout


def test_a_link_to_other_bytes_is_seen(folder, cloud, glance, listed):
    ids = upload(cloud, folder)
    glance.update(glance.get(ids["base"]), properties={records.KERNEL_ID: ids["ramdisk"]})
    [problem] = listed()[ids["base"]]["problems"]
    assert problem.startswith(f"digest differs: kernel {ids['ramdisk']}")


def test_a_base_that_is_not_its_manifests_is_seen(folder, cloud, glance, listed):
    ids = upload(cloud, folder)
    glance.update(glance.get(ids["base"]), properties={records.DIGEST: "sha256:00"})
    assert listed()[ids["base"]]["problems"] == [
        "digest differs: it is not the base of its manifest"
    ]


def test_other_bytes_than_were_sent_are_seen(folder, cloud, glance, listed):
    ids = upload(cloud, folder)
    glance.update(glance.get(ids["base"]), properties={records.SHA512: "00" * 64})
    [problem] = listed()[ids["base"]]["problems"]
    assert problem.startswith("digest differs: Glance's hash")


def test_a_manifest_that_is_damaged_or_gone_is_seen(folder, cloud, glance, listed):
    ids = upload(cloud, folder)
    glance.update(glance.get(ids["base"]), properties={"bakery_manifest_1": "?"})
    [problem] = listed()[ids["base"]]["problems"]
    assert problem.startswith("no manifest: its manifest is damaged")


def test_a_hidden_image_is_listed_as_hidden(folder, cloud, glance, listed, bakery):
    ids = upload(cloud, folder)
    glance.update(glance.get(ids["base"]), hidden=True)
    assert listed()[ids["base"]]["hidden"]
    assert "active (hidden)" in bakery("images", env=cloud.env()).stdout


def test_an_upload_that_was_not_finished_is_seen(cloud, glance, listed):
    left = queued(glance, records.KERNEL)
    assert listed()[left.id]["problems"] == ["not finished: queued"]


def test_other_peoples_images_are_not_listed(folder, cloud, listed):
    cloud.client(
        *("image", "create", "theirs", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", folder / "made-kernel"),
    )
    assert listed() == {}


def test_a_name_from_the_server_stays_text_on_one_line(cloud, glance, bakery):
    said = {records.ROLE: records.KERNEL}
    name = "[red]a[/red] \x1b[31m\u202e\nb"
    image_id = str(uuid.uuid4())
    glance.create(image_id, name, "raw", "bare", "private", said)
    shown = bakery("images", env=cloud.env()).stdout
    assert "[red]a[/red]" in shown
    assert "\x1b" not in shown
    [line] = [line for line in shown.splitlines() if image_id in line and "kernel" in line]
    assert "queued" in line


def test_what_is_in_use_is_never_removed(folder, cloud, prune):
    upload(cloud, folder)
    done = prune(*NOW, "--yes")
    assert (done.returncode, done.stdout) == (0, "nothing to remove\n")
    assert len(cloud.images()) == 3


def test_kernel_and_ramdisk_without_a_base_go_and_their_reason_is_told(
    folder, cloud, glance, prune
):
    ids = upload(cloud, folder)
    glance.delete(ids["base"])
    shown = prune(*NOW, "--json")
    assert removed(shown) == set()
    doomed = json.loads(shown.stdout)["plan"]["doomed"]
    assert {one["id"] for one in doomed} == {ids["kernel"], ids["ramdisk"]}
    assert {one["why"] for one in doomed} == {
        "no base refers to this kernel",
        "no base refers to this ramdisk",
    }
    done = prune(*NOW, "--yes")
    assert done.returncode == 0
    assert "removed: 2 of 2" in done.stdout
    assert cloud.images() == []


def test_what_is_young_is_left_alone(folder, cloud, glance, prune):
    ids = upload(cloud, folder)
    glance.delete(ids["base"])
    queued(glance, records.BASE)
    assert removed(prune("--json", "--yes")) == set()
    assert len(cloud.images()) == 3


def test_without_a_yes_and_without_a_terminal_nothing_is_removed(folder, cloud, glance, prune):
    ids = upload(cloud, folder)
    glance.delete(ids["base"])
    done = prune(*NOW)
    assert done.returncode == 2
    assert ids["kernel"] in done.stdout
    assert "--yes" in done.stderr
    assert len(cloud.images()) == 2


def test_a_dead_upload_goes_and_with_it_what_only_it_referred_to(folder, cloud, glance, prune):
    ids = upload(cloud, folder)
    glance.delete(ids["base"])
    left = queued(glance, records.BASE, **{records.KERNEL_ID: ids["kernel"]})
    assert removed(prune(*NOW, "--json", "--yes")) == {left.id, ids["kernel"], ids["ramdisk"]}


def test_a_kernel_that_somebody_elses_image_refers_to_stays(folder, cloud, glance, prune):
    ids = upload(cloud, folder)
    glance.delete(ids["base"])
    cloud.client(
        *("image", "create", "theirs", "--disk-format", "raw", "--container-format", "bare"),
        *("--property", f"kernel_id={ids['kernel']}", "--file", folder / "made-kernel"),
    )
    assert removed(prune(*NOW, "--json", "--yes")) == {ids["ramdisk"]}
    assert glance.get(ids["kernel"]) is not None


def test_a_hidden_base_goes_on_demand_alone(cloud, prune, bakery, tmp_path):
    old = upload(cloud, made(tmp_path / "old", name="made"))
    changed = made(tmp_path / "new", name="made", data=1 << 20)
    new = upload(cloud, changed, "--replace")
    assert old["base"] != new["base"]
    assert removed(prune(*NOW, "--json", "--yes")) == set()
    assert removed(prune(*NOW, "--hidden", "--json", "--yes")) >= {old["base"]}
    done = bakery("download", "made", "-o", tmp_path / "out", env=cloud.env())
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == files(changed)


def test_a_protected_image_stays_and_its_reason_is_told(folder, cloud, glance, prune):
    ids = upload(cloud, folder)
    glance.delete(ids["base"])
    cloud.client("image", "set", "--protected", ids["kernel"])
    done = prune(*NOW, "--yes")
    assert f"kept: {ids['kernel']}" in done.stdout
    assert "--unprotect" in done.stdout
    assert glance.get(ids["kernel"]) is not None
    assert glance.get(ids["ramdisk"]) is None
    cloud.client("image", "set", "--unprotected", ids["kernel"])


def test_a_public_kernel_stays_since_others_may_refer_to_it(folder, cloud, bakery):
    admin = cloud.env("admin")
    done = bakery("upload", folder, "--public", "--json", env=admin)
    assert done.returncode == 0, done.stderr
    ids = {image["role"]: image["id"] for image in json.loads(done.stdout)["images"]}
    try:
        cloud.client("image", "delete", ids["base"], cloud="admin")
        pruned = bakery("images", "prune", *NOW, "--yes", env=admin)
        assert pruned.returncode == 0, pruned.stderr
        assert f"kept: {ids['kernel']}" in pruned.stdout
        assert "images of other projects may refer to it" in pruned.stdout
    finally:
        cloud.client("image", "delete", ids["kernel"], ids["ramdisk"], cloud="admin")


def test_images_of_another_project_are_none_of_ours(folder, services, cloud, prune, bakery):
    other = services.fresh_project()
    ids = upload(other, folder)
    other.client("image", "set", "--community", ids["kernel"])
    other.client("image", "delete", ids["base"])
    assert removed(prune(*NOW, "--json", "--yes")) == set()
    administrator = bakery(*("images", "prune", *NOW, "--json", "--yes"), env=cloud.env("admin"))
    assert not removed(administrator) & set(ids.values())


def test_two_prunes_at_once_end_well(folder, cloud, glance):
    ids = upload(cloud, folder)
    glance.delete(ids["base"])
    words: list[str | Path] = [BAKERY, "images", "prune", *NOW, "--yes", "--json"]
    both = [
        subprocess.Popen(words, env=os.environ | cloud.env(), stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert cloud.images() == []


def test_the_cloud_may_be_named_before_or_behind_prune(bakery, cloud):
    where = {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml)}
    for words in (("--cloud", "nix", "prune"), ("prune", "--cloud", "nix")):
        done = bakery("images", *words, env=where)
        assert done.returncode == 1
        assert "'nix'" in done.stderr
