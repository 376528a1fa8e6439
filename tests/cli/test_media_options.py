import click
import pytest
from click.testing import CliRunner

from bakery.cli.media_options import by_media
from bakery.conductor.messages import Media


@pytest.fixture
def asked(tmp_path):
    """Run a command with these options in the folder of a certificate; its answer and its media."""
    for name in ("a.pem", "a.key"):
        (tmp_path / name).write_text(name)
    got = []

    @click.command()
    @by_media
    def command(media):
        got.append(media)

    def run(*words):
        runner = CliRunner()
        done = runner.invoke(command, [word.replace("@", f"{tmp_path}/") for word in words])
        return done, (got or [None])[-1]

    return run


def test_without_a_word_nodes_boot_over_the_network(asked):
    done, media = asked()
    assert (done.exit_code, media) == (0, None)


def test_media_are_asked_for_with_and_without_a_certificate(asked, tmp_path):
    assert asked("--boot", "media")[1] == Media()
    words = ("--boot", "media", "--media-certificate", "@a.pem")
    assert asked(*words)[1] == Media(str(tmp_path / "a.pem"))
    both = Media(str(tmp_path / "a.pem"), str(tmp_path / "a.key"))
    assert asked(*words, "--media-key", "@a.key")[1] == both


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--media-certificate", "@a.pem"), "go with --boot media"),
        (("--boot", "network", "--media-key", "@a.key"), "go with --boot media"),
        (("--boot", "media", "--media-key", "@a.key"), "goes with --media-certificate"),
        (("--boot", "media", "--media-certificate", "@none"), "does not exist"),
        (("--boot", "cd"), "is not one of"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(asked, words, reason):
    done, _ = asked(*words)
    assert done.exit_code == 2
    assert reason in done.output
