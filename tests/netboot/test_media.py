"""A node's own part of a medium: what GRUB and the kernel are given to read."""

import subprocess

import pytest

from bakery.host.errors import BakeryError
from bakery.host.plain_file import seal
from bakery.netboot.media import KERNEL, MENU_BYTES, OWN, OWN_BYTES, RAMDISK, Medium, menu, own
from bakery.node.agent.kernel_args import SECRETS_FILE
from bakery.system.kargs import LIMIT_BYTES


def test_the_menu_has_one_entry_which_starts_at_once():
    content = menu(["console=ttyS0", 'root_device="size=>= 10"', "a=$x;`y`"])
    assert len(content) == MENU_BYTES
    text = content.decode("ascii")
    assert "set timeout=0" in text and "set default=deploy" in text
    assert text.count("menuentry") == 1
    linux = next(line for line in text.splitlines() if line.lstrip().startswith("linux "))
    assert linux.split()[1:3] == [KERNEL, "console=ttyS0"]
    assert "'root_device=size=>= 10'" in linux and "'a=$x;`y`'" in linux
    assert f"  initrd {OWN} {RAMDISK}\n" in text


@pytest.mark.parametrize(
    "arg", ["a\nlinux /x", "a\rb", "a\0b", "a b", 'a="b', "é", "", "a'b", "a\\b"]
)
def test_an_argument_that_would_be_something_else_in_the_menu_is_refused(arg):
    with pytest.raises(BakeryError):
        menu(["ro", arg])


@pytest.mark.parametrize("arg", ["a\nb=1", "a\0b", "a b", 'a="b', "é", ""])
def test_a_secret_that_would_be_several_is_refused(arg):
    with pytest.raises(BakeryError):
        own([arg])


def test_what_a_kernel_would_cut_off_is_refused():
    own_words = len(f"BOOT_IMAGE={KERNEL} ")
    menu(["a" * (LIMIT_BYTES - own_words)])
    with pytest.raises(BakeryError, match="kernels keep 2047"):
        menu(["a" * (LIMIT_BYTES - own_words + 1)])
    with pytest.raises(BakeryError, match="kernels keep only 2047"):
        own(["a" * (LIMIT_BYTES + 1)])


@pytest.mark.parametrize("length", [1, 2, 3, 4, LIMIT_BYTES])
def test_the_secrets_are_an_archive_of_one_file_that_root_alone_can_read(tmp_path, length):
    content = own(["k" * length])
    assert len(content) == OWN_BYTES
    subprocess.run(
        ["cpio", "--extract", "--make-directories", "--quiet", "--no-absolute-filenames"],
        input=content,
        cwd=tmp_path,
        check=True,
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / SECRETS_FILE.lstrip("/")]
    assert files[0].read_text() == "k" * length + "\n"
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_the_longest_arguments_fit_however_they_are_quoted():
    assert len(menu(['a="' + "; " * 1000 + '"'])) == MENU_BYTES


@pytest.mark.parametrize("menu_first", [True, False])
def test_a_nodes_medium_is_the_shared_one_with_its_own_in_place(tmp_path, menu_first):
    (tmp_path / "iso").write_bytes(bytes(100_000))
    places = (2048, 40960) if menu_first else (40960, 2048)
    medium = Medium(seal(tmp_path / "iso"), 100_000, *places, secure_boot=False)
    overlaid = medium.of_node(["ro"], ["key=1"])
    assert dict(overlaid.patches) == {places[0]: menu(["ro"]), places[1]: own(["key=1"])}
    assert overlaid.size_bytes == 100_000
    assert b"key=1" not in menu(["ro"])
