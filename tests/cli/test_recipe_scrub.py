"""`bakery build RECIPE.toml` of an image that the recipe has scrubbed, or put files into."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import tiny
from tests.cli.test_recipe import document, steps

SECRET = b"-----a private key-----"
ROOT = dict(tiny.ROOT) | {
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\n",
    "root/.ssh/id_rsa": SECRET * 200,
    "etc/app.token": b"kept until a rule takes it",
}
OWN_RULE = '[[rule]]\nname = "app"\nwhy = "tokens"\npaths = ["/etc/app.token"]\n'


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"), root=ROOT)


def beside(recipe: Path, image: Path) -> str:
    """The name of a link to the image, beside the recipe."""
    link = recipe.with_name(image.name)
    if not link.is_symlink():
        link.symlink_to(image)
    return link.name


def recipe(folder: Path, image: Path, scrub: str = "", *, layout: str = "lv") -> Path:
    path = folder / "lab.toml"
    source = beside(path, image)
    path.write_text(f'layout = "{layout}"\n[source]\nimage = "{source}"\n[scrub]\n{scrub}\n')
    return path


def base(folder: Path) -> bytes:
    return (folder / "lab/tiny-base").read_bytes()


def test_what_is_built_is_the_scrubbed_image(bakery, image, tmp_path):
    before = hashlib.sha256(image.read_bytes()).digest()
    plain = document(bakery("build", image, "-o", tmp_path / "plain", "--json"))["manifest"]
    made = document(bakery("build", recipe(tmp_path, image), "--json"))["manifest"]
    assert SECRET in (tmp_path / "plain/tiny-base").read_bytes()
    assert SECRET not in base(tmp_path)
    assert made["source"].pop("scrubbed") is True
    became = made["source"].pop("became")
    assert made["source"] == plain["source"], "the source is the image that was given"
    assert became not in ("", plain["source"]["digest"])
    assert made["name"] == "tiny"
    assert hashlib.sha256(image.read_bytes()).digest() == before


def test_it_is_scrubbed_once(bakery, image, tmp_path):
    path = recipe(tmp_path, image)
    assert "scrub" in steps(bakery("build", path, "-v"))
    again = bakery("build", path, "-v")
    assert steps(again) == [], again.stderr
    assert "up to date" in again.stdout
    path.write_text(path.read_text() + '[kernel_args]\nappend = ["quiet"]\n')
    assert steps(bakery("build", path, "-v")) == ["commit"]


def test_other_rules_scrub_anew(bakery, image, tmp_path):
    path = recipe(tmp_path, image, 'rules = "own.toml"')
    (tmp_path / "own.toml").write_text("")
    assert bakery("build", path).returncode == 0
    assert ROOT["etc/app.token"] in base(tmp_path)
    (tmp_path / "own.toml").write_text(OWN_RULE)
    plan = document(bakery("plan", path, "--json"))["steps"]
    assert plan[0] == {"stage": "scrub", "state": "will run", "why": "changed: rules"}
    assert {step["state"] for step in plan} == {"will run"}
    assert "scrub" in steps(bakery("build", path, "-v"))
    assert ROOT["etc/app.token"] not in base(tmp_path)
    plan = document(bakery("plan", path, "--json"))["steps"]
    assert {step["state"] for step in plan} == {"have"}
    assert len(list((tmp_path / "lab/.bakery").glob("scrub*-*"))) == 1


def test_what_cannot_be_searched_is_refused_or_recorded(bakery, tmp_path):
    fstab = ROOT["etc/fstab"] + b"/data.img /data ext4 loop,nofail 0 0\n"
    (tmp_path / "in").mkdir()
    odd = tiny.make(tmp_path / "in", root=ROOT | {"etc/fstab": fstab, "data.img": b"x"})
    done = bakery("build", recipe(tmp_path, odd))
    assert done.returncode == 1
    assert "/data (/etc/fstab:5): /data.img is a filesystem in a file" in done.stderr
    assert not (tmp_path / "lab").exists() or not list((tmp_path / "lab").glob("tiny-*"))
    accepting = recipe(tmp_path, odd, 'leave_unsearched = ["/data"]')
    made = document(bakery("build", accepting, "--json"))["manifest"]
    assert made["source"]["left_unsearched"] == ["/data"]
    assert SECRET not in base(tmp_path)


def test_a_run_killed_behind_the_scrub_does_not_scrub_again(bakery, image, tmp_path):
    """As it is left where the new image stands and is no result yet."""
    path = recipe(tmp_path, image)
    assert bakery("build", path).returncode == 0
    work = tmp_path / "lab/.bakery"
    (result,) = work.glob("scrub-*")
    (work / "scrubbing").mkdir()
    (result / "image").rename(work / "scrubbing" / result.name)
    shutil.rmtree(result)
    done = bakery("build", path, "-v")
    assert done.returncode == 0, done.stderr
    assert "scrub" in steps(done)
    assert "find" not in steps(done)
    assert not (work / "scrubbing").exists()


def test_a_refused_build_keeps_what_was_scrubbed(bakery, image, tmp_path):
    """Its archive, where there is one, stays as well, and would stand in the way."""
    done = bakery("build", recipe(tmp_path, image, layout="pv"), "-v")
    assert done.returncode == 1
    assert "cannot become layout pv" in done.stderr
    assert "scrub" in steps(done)
    done = bakery("build", recipe(tmp_path, image), "-v")
    assert done.returncode == 0, done.stderr
    assert "scrub" not in steps(done)


def test_a_refused_build_keeps_what_a_killed_scrub_left(bakery, image, tmp_path):
    left = tmp_path / "lab/.bakery/scrubbing/.scrub-0123.bakery-scrub/recovery"
    left.parent.mkdir(parents=True)
    left.touch()
    path = recipe(tmp_path, image)
    path.write_text(path.read_text().replace("[scrub]", f"sha256 = '{'0' * 64}'\n[scrub]"))
    done = bakery("build", path)
    assert done.returncode == 1
    assert "its sha256 is" in done.stderr
    assert left.exists()


def with_file(path: Path, inside: str, content: str = "hello\n", more: str = "") -> None:
    """Add a file to a recipe, named like its place."""
    source = path.with_name(Path(inside).name)
    source.write_text(content)
    text = f"[[files]]\nsource = '{source.name}'\npath = '{inside}'\n{more}"
    path.write_text(path.read_text() + text)


def test_a_file_that_has_no_place_is_refused_after_the_scrub(bakery, image, tmp_path):
    path = recipe(tmp_path, image)
    with_file(path, "/etc/fstab/motd")
    plan = document(bakery("plan", path, "--json"))["steps"]
    assert [step["stage"] for step in plan[:3]] == ["scrub", "files", "check"]
    done = bakery("build", path, "-v")
    assert done.returncode == 1
    assert "/etc/fstab/motd cannot be put into the image: /dev/sda2:/etc/fstab is" in done.stderr
    assert "scrub" in steps(done)
    plan = document(bakery("plan", path, "--json"))["steps"]
    assert [step["state"] for step in plan[:2]] == ["have", "will run"]


@pytest.mark.slow
def test_files_are_put_into_the_image_once(bakery, image, tmp_path):
    """With an appliance, which alone writes files."""
    path = tmp_path / "lab.toml"
    path.write_text(f'layout = "lv"\n[source]\nimage = "{beside(path, image)}"\n')
    with_file(path, "/etc/motd")
    unit = "/etc/systemd/system/a.service"
    with_file(path, unit, "[Unit]\n", 'mode = "0600"\nowner = 1000\ngroup = 1001\n')
    made = document(bakery("build", path, "--json"))["manifest"]
    assert made["source"]["files_added"] == ["/etc/motd", unit]
    assert made["source"]["became"] != made["source"]["digest"]
    told = debugfs(tmp_path / "lab/tiny-base", "cat /etc/motd", f"cat {unit}", f"stat {unit}")
    assert told.startswith("hello\n[Unit]\nInode:")
    assert "Mode:  0600" in told
    assert told.split("User:")[1].split()[:3] == ["1000", "Group:", "1001"]
    folders = debugfs(tmp_path / "lab/tiny-base", "stat /etc/systemd", "stat /etc")
    assert folders.count("Mode:  0755") == 2
    (tmp_path / "motd").touch()
    assert steps(bakery("build", path, "-v")) == []
    (tmp_path / "motd").write_text("other\n")
    plan = document(bakery("plan", path, "--json"))["steps"]
    assert plan[0] == {"stage": "files", "state": "will run", "why": "changed: files"}


def debugfs(filesystem: Path, *requests: str) -> str:
    """What debugfs(8) prints as it runs the requests."""
    told = ""
    for request in requests:
        argv: list[str | Path] = ["debugfs", "-R", request, filesystem]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
        told += done.stdout
    return told


@pytest.mark.slow
def test_the_archive_is_written_once(bakery, image, tmp_path):
    """With an appliance, which alone keeps what is taken."""
    subprocess.run(["age-keygen", "-o", tmp_path / "key"], check=True, timeout=60)
    with (tmp_path / "lab.pub").open("wb") as file:
        subprocess.run(["age-keygen", "-y", tmp_path / "key"], check=True, stdout=file, timeout=60)
    path = recipe(tmp_path, image, "recovery = 'lab.age'\npublic_key = 'lab.pub'")
    done = bakery("build", path, "-v")
    assert done.returncode == 0, done.stderr
    assert SECRET not in base(tmp_path)
    archive = tmp_path / "lab.age"
    kept = archive.read_bytes()
    assert steps(bakery("build", path, "-v")) == []
    assert archive.read_bytes() == kept
    archive.rename(tmp_path / "moved")
    assert steps(bakery("build", path, "-v")) == []
    assert not archive.exists()

    tiny.run("age", "-d", "-i", tmp_path / "key", "-o", tmp_path / "tar.zst", tmp_path / "moved")
    tiny.run("zstd", "-q", "-d", tmp_path / "tar.zst", "-o", tmp_path / "tar")
    assert SECRET * 200 in (tmp_path / "tar").read_bytes()
    # Without the image it belongs to, there is nothing to tell that it could be written over.
    (tmp_path / "moved").rename(archive)
    shutil.rmtree(tmp_path / "lab")
    done = bakery("build", path)
    assert done.returncode == 1
    assert "lab.age is there already" in done.stderr
    assert archive.read_bytes() == kept
    assert not (tmp_path / "lab").exists()
