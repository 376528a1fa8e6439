"""Who watches sees what processes show, also those that become another program."""

import secrets
import subprocess
from pathlib import Path

from tests.conductor.targets import until
from tests.watch import files_with, watching


def test_a_secret_among_arguments_or_in_an_environment_is_seen_and_another_is_not():
    argument, variable, other = (secrets.token_hex(8) for _ in range(3))
    with (
        watching() as watch,
        subprocess.Popen(
            ["sh", "-c", "read line; exec sleep 1000", argument],
            stdin=subprocess.PIPE,
            env={"PATH": "/bin:/usr/bin", "A": variable},
        ) as process,
    ):
        until(lambda: bool(watch.showed(argument) and watch.showed(variable)))
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
        until(lambda: watch.programs("sleep\x001000") == 1)
        process.kill()
    assert not watch.showed(other)
    assert watch.looks > 0


def test_a_secret_in_a_file_is_found_below_a_folder_and_a_part_of_it_is_not(tmp_path: Path):
    secret = secrets.token_hex(8)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"x" * 1000 + secret.encode())
    (tmp_path / "c").write_bytes(secret[:-1].encode())
    assert files_with(secret, tmp_path) == {tmp_path / "a/b"}
