"""The documentation tells the truth: its transcripts are run, its links lead somewhere."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.conftest import BAKERY, REPOSITORY, Sample
from tests.services import venvs
from tests.transcripts import Example, examples, matches

PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
SAMPLES = {"atomic.qcow2": "default"}
TIMEOUT_SECONDS = 1000
NOTHING: Mapping[str, str] = MappingProxyType({})


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def pages(*, slow: bool) -> list[Path]:
    return [page for page in PAGES if any(bool(e.needs) == slow for e in examples(page))]


def pages_with_cloud() -> list[Path]:
    return [page for page in PAGES if any(e.cloud for e in examples(page))]


def pages_without_cloud() -> list[Path]:
    return [page for page in pages(slow=True) if page not in pages_with_cloud()]


def run_example(example: Example, folder: Path, env: Mapping[str, str] = NOTHING) -> None:
    done = subprocess.run(
        ["bash", "-c", example.command],
        cwd=folder,
        env=os.environ
        | {"PATH": f"{BAKERY.parent}:{os.environ['PATH']}", "COLUMNS": "100"}
        | dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    if not matches(example.expected, done.stdout):
        expected = "\n".join(example.expected)
        pytest.fail(
            f"{example.where}: $ {example.command}\n--- written\n{expected}\n"
            f"--- printed (exit code {done.returncode})\n{done.stdout}",
            pytrace=False,
        )


@pytest.mark.parametrize("page", pages(slow=False), ids=name_of)
def test_transcripts_that_need_no_image_are_true(page, tmp_path):
    for example in examples(page):
        if not example.needs:
            run_example(example, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_without_cloud(), ids=name_of)
def test_transcripts_on_a_real_image_are_true(page, tmp_path, sample):
    run_on_image(page, tmp_path, sample)


@pytest.mark.slow
@pytest.mark.xdist_group("services")
@pytest.mark.parametrize("page", pages_with_cloud(), ids=name_of)
def test_transcripts_against_a_real_cloud_are_true(page, tmp_path, sample, cloud):
    path = f"{BAKERY.parent}:{os.environ['PATH']}:{venvs.venv('client') / 'bin'}"
    run_on_image(page, tmp_path, sample, cloud.env() | {"PATH": path})


def run_on_image(
    page: Path, folder: Path, sample: Sample, env: Mapping[str, str] = NOTHING
) -> None:
    for example in examples(page):
        if example.needs:
            image = folder / example.needs
            if not image.exists():
                image.symlink_to(sample(SAMPLES[example.needs]))
            run_example(example, folder, env)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    inner = [target for target in targets if "://" not in target]
    assert [target for target in inner if not (page.parent / target).exists()] == []


def test_the_readme_leads_with_the_two_commands():
    first_screen = "\n".join((REPOSITORY / "README.md").read_text().splitlines()[:40])
    assert "scripts/demo" in first_screen
    assert "scripts/test" in first_screen


PAGE = """\
text
```console
$ first
one
$ second
```
<!-- needs: atomic.qcow2 -->
```console
$ third
…
```
<!-- needs: atomic.qcow2, a cloud -->
```console
$ remote
```
<!-- not run: it would take a day -->
```console
$ fourth
```
```sh
$ fifth
```
"""


def test_a_page_gives_its_commands_with_their_output(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert examples(page) == [
        Example("page.md:3", "first", ("one",)),
        Example("page.md:5", "second", ()),
        Example("page.md:9", "third", ("…",), "atomic.qcow2"),
        Example("page.md:14", "remote", (), "atomic.qcow2", cloud=True),
    ]


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ((), ""),
        (("a", "b"), "a\nb\n"),
        (("a",), "a  \n"),
        (("took … s",), "took 1.5 s\n"),
        (("a", "…", "z"), "a\nb\nc\nz\n"),
        (("a", "…"), "a\n"),
        (("[x] (y)*",), "[x] (y)*\n"),
    ],
)
def test_output_as_written_matches(expected, printed):
    assert matches(expected, printed)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ((), "a\n"),
        (("a",), ""),
        (("a", "b"), "a\n"),
        (("a",), "a\nb\n"),
        (("took … s",), "took 1.5 s\n2 s\n"),
        (("a.c",), "abc\n"),
    ],
)
def test_output_that_differs_does_not_match(expected, printed):
    assert not matches(expected, printed)


def test_a_transcript_that_lies_fails(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="printed"):
        run_example(Example("page.md:1", "echo truth", ("lie",)), tmp_path)
    run_example(Example("page.md:1", "echo truth >&2", ("truth",)), tmp_path)
