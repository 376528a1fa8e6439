"""Every option that takes a secret takes a file that nobody else may read, and shows none of it."""

import ast
import os
import re
import secrets
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bakery.cli.main import cli
from tests import bootsector, tiny
from tests.conductor import builds
from tests.conftest import BAKERY
from tests.recovery import pairs
from tests.vm.prove.builds import make
from tests.watch import files_with, watching

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"password|passphrase|secret|token|credential|key|config-drive")
VARIABLE = re.compile(r'"([A-Z]+_[A-Z_]*(?:PASSWORD|PASSPHRASE|SECRET|TOKEN|KEY))"')
PUBLIC = frozenset(("--public-key", "--ssh-key"))
"""Halves of keys that are for everybody."""
OF_DEVSTACK = frozenset(f"{name}_PASSWORD" for name in ("ADMIN", "DATABASE", "RABBIT", "SERVICE"))
"""Names in its local.conf, not in bakery's environment."""
ELSEWHERE = {
    ("deploy", "--config-drive"): "tests/hostile/test_stranger.py:"
    "test_over_iscsi_two_nodes_reach_the_login_and_a_stranger_nothing",
    ("deploy", "--media-key"): "tests/e2e/test_deploy_media.py:"
    "test_from_a_medium_over_https_without_dhcp_or_tftp_to_the_login",
    ("nodes deploy", "--config-drive"): "tests/e2e/test_deploy_ironic_drive.py:"
    "test_a_deploy_that_fails_leaves_no_config_drive",
}
"""What takes nodes, or a cloud: the test that asks where it got to."""
ASKS = b"tiny login: " + bootsector.A_LINE + b"\r\nPassword: " + bootsector.A_LINE


class Case(NamedTuple):
    """A command with a secret's file, and what of that file nobody may see."""

    words: tuple[str | Path, ...]
    canary: str
    used: str
    """What is said by a command that has used it."""
    kept: frozenset[Path] = frozenset()
    """Where else it belongs: for its owner alone."""


def proved_with_password(folder: Path) -> Case:
    make(folder / "build", bootsector.saying(ASKS, "reset"))
    file, canary = line_in(folder)
    words = ("prove", folder / "build", "--memory", "128", "--run", "id")
    return Case((*words, "--password-file", file), canary, "no shell answered")


def proved_with_key(folder: Path) -> Case:
    make(folder / "build", bootsector.saying(b"tiny login: ", "halt"))
    file, canary = key_in(folder, PrivateFormat.OpenSSH)
    words = ("prove", folder / "build", "--memory", "128", "--run", "id", "--timeout", "8")
    return Case((*words, "--key", file), canary, "ssh did not get in")


def signed(folder: Path) -> Case:
    build = builds.with_packed_base(builds.build(folder / "build", "disk"))
    file, canary = key_in(folder, PrivateFormat.PKCS8)
    return Case(("sign", build.directory, "--key", file), canary, "plan_key")


def restored(folder: Path) -> Case:
    """By an archive that was cut short, which is seen when the key has opened it."""
    pair = pairs.rsa(folder)
    archive = pairs.sealed(folder / "kept", pairs.files(("etc/key", os.urandom(200_000))), pair)
    os.truncate(archive, archive.stat().st_size - 1000)
    words = ("restore", tiny.make(folder), "--recovery", archive)
    opening = ("--private-key", pair.private)
    return Case((*words, *opening), body(pair.private), "altered or cut short")


def configured(form: str) -> Callable[[Path], Case]:
    def case(folder: Path) -> Case:
        build = builds.build(folder / "build").directory
        file, canary = line_in(folder)
        place = folder / "local.conf" if form == "local.conf" else folder
        words = ("devstack", form, build, "--memory", "64", "-o", place, "--password-file", file)
        return Case(words, canary, form, frozenset((folder / form,)))

    return case


def opened(command: str, used: str = "opens none of") -> Callable[[Path], Case]:
    def case(folder: Path) -> Case:
        file, canary = line_in(folder)
        more = () if command == "inspect" else ("-o", folder / "out")
        words = (command, locked(folder), *more, "--luks-key-file", file)
        return Case(words, canary, used)

    return case


CASES: dict[tuple[str, str], Callable[[Path], Case]] = {
    ("prove", "--password-file"): proved_with_password,
    ("prove", "--key"): proved_with_key,
    ("sign", "--key"): signed,
    ("restore", "--private-key"): restored,
    ("devstack local.conf", "--password-file"): configured("local.conf"),
    ("devstack localrc", "--password-file"): configured("localrc"),
    ("inspect", "--luks-key-file"): opened("inspect"),
    # It opens nothing: what is in an image is told by a build of it.
    ("plan", "--luks-key-file"): opened("plan", "will run"),
    ("build", "--luks-key-file"): opened("build"),
}
LUKS_TRIES = 20
LOOKS = 5
"""A short command may end on a busy machine before it was seen: it is run again then."""
LONG = frozenset(("inspect", "plan", "build"))
"""They start an appliance."""


def line_in(folder: Path) -> tuple[Path, str]:
    """A file with a password, and the password."""
    file, canary = folder / "secret", secrets.token_hex(16)
    file.touch(mode=0o600)
    file.write_text(f"{canary}\n")
    return file, canary


def key_in(folder: Path, form: PrivateFormat) -> tuple[Path, str]:
    """A file with a private key, and a part of the key."""
    file = folder / "secret"
    file.touch(mode=0o600)
    made = ed25519.Ed25519PrivateKey.generate()
    file.write_bytes(made.private_bytes(Encoding.PEM, form, NoEncryption()))
    return file, body(file)


def body(key: Path) -> str:
    """A part of a key in a PEM file, of those that are another for each key."""
    lines = key.read_text().splitlines()[1:-1]
    return lines[-2 if len(lines) > 1 else 0][-40:]


def locked(folder: Path) -> Path:
    """A disk that has a LUKS in place of its second root, for another passphrase."""
    image, disk, luks = tiny.make(folder, second_root=True), folder / "disk.raw", folder / "luks"
    secret = ("--object", "secret,id=s,data=another")
    shape = (
        "-f",
        "luks",
        "-o",
        "key-secret=s,iter-time=10,hash-alg=sha512",
    )  # an appliance has to do it, too
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, disk], check=True)
    argv: list[str | Path] = ["qemu-img", "create", "-q", *secret, *shape, luks, "8M"]
    # Where so little time is measured as none, it fails.
    assert any(subprocess.run(argv, check=False).returncode == 0 for _ in range(LUKS_TRIES))
    with disk.open("r+b") as file:
        file.seek(tiny.ROOT_START + tiny.ROOT_SIZE)
        file.write(luks.read_bytes())
    return disk


def options() -> Iterator[tuple[str, click.Option]]:
    """Each command's own, with the names of the command."""
    context = click.Context(cli)
    groups: list[tuple[tuple[str, ...], click.Group]] = [((), cli)]
    while groups:
        path, group = groups.pop()
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                groups.append(((*path, name), command))
            elif command:
                found = (one for one in command.params if isinstance(one, click.Option))
                yield from ((" ".join((*path, name)), one) for one in found)


def of_secrets() -> list[tuple[str, click.Option]]:
    """Those that take a secret, by their names."""
    return [
        (command, option)
        for command, option in options()
        if not option.is_flag and SECRET.search(option.opts[-1]) and option.opts[-1] not in PUBLIC
    ]


def test_each_option_for_a_secret_is_watched():
    named = {(command, option.opts[-1]) for command, option in of_secrets()}
    assert named == CASES.keys() | ELSEWHERE.keys()
    for place in ELSEWHERE.values():
        path, _, name = place.partition(":")
        tree = ast.parse((ROOT / path).read_bytes())
        assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, place


def test_no_option_takes_a_secret_as_a_word():
    assert [pair for pair in of_secrets() if not isinstance(pair[1].type, click.Path)] == []


def test_one_variable_of_the_environment_may_hold_a_secret():
    texts = (path.read_text() for path in (ROOT / "bakery").rglob("*.py"))
    assert {name for text in texts for name in VARIABLE.findall(text)} - OF_DEVSTACK == {
        "BAKERY_PASSWORD"
    }


def run(case: Case, folder: Path, *form: str, **more: str) -> subprocess.CompletedProcess[str]:
    """What it keeps for later lies in `folder`, too, but for an appliance, which takes minutes."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    own = {"HOME": str(home), "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}
    env = os.environ | ({} if case.words[0] in LONG else own) | more
    words = [BAKERY, *case.words, *form]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=900)


def marks(command: str) -> Iterator[pytest.MarkDecorator]:
    """An appliance takes long, and each command gets the key to it in the same way."""
    if command in LONG:
        yield pytest.mark.slow
    if command in LONG - {"inspect"}:
        yield pytest.mark.full


@pytest.mark.parametrize(
    "option",
    [pytest.param(one, marks=[*marks(one[0])], id=" ".join(one)) for one in CASES],
)
def test_a_secret_is_in_its_file_alone(option, tmp_path):
    case = CASES[option](tmp_path)
    file = Path(case.words[-1])
    for form in (("--json", "-v"),) if option[0] in LONG else (("--json",), ("-v",)):
        for _ in range(LOOKS):
            with watching() as watch:
                done = run(case, tmp_path, *form)
            if watch.programs(f"\0{option[0].split()[0]}\0"):
                break
        assert "Traceback" not in done.stderr
        assert watch.programs(f"\0{option[0].split()[0]}\0")
        assert watch.showed(case.canary) == []
        assert case.used in done.stdout + done.stderr
        assert case.canary not in done.stdout + done.stderr
        assert files_with(case.canary, tmp_path) == {file, *case.kept}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in case.kept)


@pytest.mark.parametrize("option", CASES, ids=" ".join)
def test_a_secret_that_others_can_read_is_refused(option, tmp_path):
    case = CASES[option](tmp_path)
    file = Path(case.words[-1])
    file.chmod(0o640)
    done = run(case, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"other users can read the secret in {file}" in done.stderr
    assert f"chmod 600 {file}" in done.stderr


def test_a_password_of_the_environment_is_handed_to_no_program(tmp_path):
    case = proved_with_password(tmp_path)
    words = case.words[:-2]
    with watching() as watch:
        done = run(case._replace(words=words), tmp_path, "--json", BAKERY_PASSWORD=case.canary)
    assert case.used in done.stdout
    assert case.canary not in done.stdout + done.stderr
    given = b"BAKERY_PASSWORD=" + case.canary.encode()
    holding = [
        word
        for shown in watch.showed(case.canary)
        for word in shown.split(b"\0")
        if case.canary.encode() in word
    ]
    assert holding == [given]
    assert files_with(case.canary, tmp_path) == {Path(case.words[-1])}
