"""Recipes: what a right one asks for, and the one line that each wrong one gets."""

import os
from pathlib import Path

import pytest

from bakery.build.recipe.read import LIMIT_BYTES, read
from bakery.build.spec import Options, Recovery, Scrub
from bakery.host.errors import UsageError
from bakery.image.engines.base import Addition
from bakery.openstack.glance.target import Target

IMAGE = '[source]\nimage = "a.qcow2"\n'
FULL = f"""
name = "lab"
output = "out/lab"
layout = "lv"
deployment = 1
engine = "direct"
without = ["/var", "/home"]
compress = "zstd"
base_sha256 = true

[source]
image = "images/a.qcow2"
sha256 = "{"0a" * 32}"

[kernel_args]
append = ["console=ttyS1", 'x="a b"']
delete = ["quiet"]

[[publish]]
cloud = "lab"
as = "partition"
name = "Lab image"
visibility = "shared"
disk_format = "qcow2"
compress = true
replace = true
[publish.properties]
os_distro = "debian"

[[publish]]
store = "rbd:images"
"""


FILE = "[[files]]\nsource = 'motd'\npath = '/etc/motd'\n"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "lab.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path) -> str:
    """The line a recipe is refused with, without its folder."""
    with pytest.raises(UsageError) as raised:
        read(path)
    assert raised.value.exit_code == 2
    assert raised.value.message.isprintable()
    return raised.value.message.removeprefix(f"{path.parent}/")


def test_a_recipe_with_every_key(tmp_path):
    asked = read(written(tmp_path, FULL))
    assert asked.image == tmp_path / "images/a.qcow2"
    assert asked.output == tmp_path / "out/lab"
    assert asked.options == Options(
        layout="lv",
        engine="direct",
        deployment=1,
        name="lab",
        karg_append=("console=ttyS1", 'x="a b"'),
        karg_delete=("quiet",),
        without=("/var", "/home"),
        sha256=True,
        compress="zstd",
        source_sha256="0a" * 32,
    )
    partition, ceph = asked.publish
    assert partition == Target(
        cloud="lab",
        shape="partition",
        name="Lab image",
        visibility="shared",
        properties={"os_distro": "debian"},
        disk_format="qcow2",
        compress=True,
        replace=True,
    )
    assert ceph == Target(store="rbd:images")


OUTSIDE = [
    ("[source]\nimage = '{}'\n", "2: source.image"),
    ("[source]\nimage = 'a'\n[[files]]\nsource = '{}'\npath = '/a'\n", "4: files.source"),
    ("[source]\nimage = 'a'\n[scrub]\nrules = '{}'\n", "4: scrub.rules"),
    (
        "[source]\nimage = 'a'\n[scrub]\nrecovery = '{}'\npublic_key = 'lab.pub'\n",
        "4: scrub.recovery",
    ),
    (
        "[source]\nimage = 'a'\n[scrub]\npublic_key = '{}'\nrecovery = 'r'\n",
        "4: scrub.public_key",
    ),
    ("output = '{}'\n[source]\nimage = 'a'\n", "1: output"),
]


@pytest.mark.parametrize(("text", "start"), OUTSIDE)
@pytest.mark.parametrize("way", ["absolute", "above", "link"])
def test_a_recipe_stays_in_its_folder(tmp_path, text, start, way):
    folder = tmp_path / "recipe"
    folder.mkdir()
    secret = tmp_path / "victim/secret"
    secret.parent.mkdir()
    secret.write_text("mine")
    (folder / "lab.pub").write_text("")
    (folder / "link").symlink_to("../victim")
    spelled = {
        "absolute": str(secret),
        "above": "sub/../../victim/secret",
        "link": "link/secret",
    }[way]
    told = refusal(written(folder, text.format(spelled)))
    assert told == f"lab.toml:{start}: '{spelled}' leads out of the recipe's folder"


def test_an_image_may_be_a_link_to_where_images_are_kept(tmp_path):
    (tmp_path / "a").symlink_to("/images/a.qcow2")
    assert read(written(tmp_path, "[source]\nimage = 'a'\n")).image == tmp_path / "a"


def test_an_image_is_all_a_recipe_needs(tmp_path):
    text = '[source]\nimage = "/images/a.qcow2"\n'
    asked = read(written(tmp_path, text), allow_outside=True)
    assert (asked.image, asked.output) == (Path("/images/a.qcow2"), tmp_path / "lab")
    assert (asked.options, asked.publish) == (Options(), ())


PUBLIC_KEY = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"


def test_what_scrub_names_lies_beside_the_recipe(tmp_path):
    (tmp_path / "own.toml").write_text('off = ["mail"]\n')
    (tmp_path / "lab.pub").write_text(f"{PUBLIC_KEY}\n")
    text = f"{IMAGE}[scrub]\nrules = 'own.toml'\nrecovery = 'a.age'\npublic_key = 'lab.pub'\n"
    assert read(written(tmp_path, text)).options.scrub == Scrub(
        rules=tmp_path / "own.toml", recovery=Recovery(tmp_path / "a.age", tmp_path / "lab.pub")
    )
    spelled = text.replace("lab.pub", PUBLIC_KEY)
    scrub = read(written(tmp_path, spelled)).options.scrub
    assert scrub is not None
    assert scrub.recovery == Recovery(tmp_path / "a.age", Path(PUBLIC_KEY))


def test_an_empty_table_scrubs_by_the_built_in_rules(tmp_path):
    assert read(written(tmp_path, f"{IMAGE}[scrub]\n")).options.scrub == Scrub()


def test_a_wrong_rule_is_told_with_its_file_and_where_the_recipe_names_it(tmp_path):
    (tmp_path / "own.toml").write_text('off = ["mial"]\n')
    told = refusal(written(tmp_path, f"{IMAGE}[scrub]\nrules = 'own.toml'\n"))
    start, _, end = told.partition(f"{tmp_path}/")
    assert (start, end) == ("lab.toml:4: scrub.rules: ", "own.toml: off: there is no rule 'mial'")


def test_a_private_key_is_refused_in_a_recipe(tmp_path):
    (tmp_path / "key").write_text("AGE-SECRET-KEY-1XXX\n")
    text = f"{IMAGE}[scrub]\nrecovery = 'a'\npublic_key = 'key'\n"
    assert refusal(written(tmp_path, text)).startswith("lab.toml:5: scrub.public_key: ")


def test_files_lie_beside_the_recipe_and_are_roots_unless_it_says_otherwise(tmp_path):
    (tmp_path / "motd").touch()
    more = "mode = '4755'\nowner = 1000\ngroup = 4294967294\n"
    text = f"{IMAGE}{FILE}[[files]]\nsource = '{tmp_path}/motd'\npath = '/a b'\n{more}"
    assert read(written(tmp_path, text)).options.files == (
        Addition(tmp_path / "motd", "/etc/motd", 0o644, 0, 0),
        Addition(tmp_path / "motd", "/a b", 0o4755, 1000, 4294967294),
    )


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("source", "'.'", "{folder} is not a regular file"),
        ("source", "'nowhere'", "{folder}/nowhere cannot be read: No such file or directory"),
        ("source", "''", "'' is not a path"),
        ("path", "'etc/motd'", "'etc/motd' is not absolute"),
        ("path", "'/'", "'/' holds an empty name, or . or .."),
        ("path", "'/etc/../a'", "'/etc/../a' holds an empty name, or . or .."),
        ("path", "'/etc/'", "'/etc/' holds an empty name, or . or .."),
        ("path", f"'/{'a' * 256}'", f"'/{'a' * 158}…' holds a name of more than 255 bytes"),
        ("mode", "'0888'", "'0888' is not a mode: octal digits, as in '0644'"),
        ("mode", "0o644", "expected a string, not a number"),
        ("owner", "'root'", "expected a whole number from 0, not a string"),
        ("group", "4294967295", "4294967295 is more than 4294967294, the last that Linux has"),
    ],
)
def test_a_wrong_file_is_told_by_file_line_and_key(tmp_path, key, value, reason):
    (tmp_path / "motd").touch()
    given = {"source": "'motd'", "path": "'/etc/motd'"} | {key: value}
    lines = [f"{name} = {text}" for name, text in given.items()]
    text = f"{IMAGE}[[files]]\n" + "\n".join(lines)
    line = 4 + list(given).index(key)
    told = refusal(written(tmp_path, text))
    assert told == f"lab.toml:{line}: files.{key}: " + reason.format(folder=tmp_path)


def test_two_files_at_one_place_are_refused(tmp_path):
    (tmp_path / "motd").touch()
    told = refusal(written(tmp_path, f"{IMAGE}{FILE}{FILE}"))
    assert told == "lab.toml:8: files.path: '/etc/motd' is given twice"


WRONG = [
    # keys
    (f"\nlayot = 'lv'\n{IMAGE}", "2: layot: no such key; did you mean 'layout'?"),
    (f"{IMAGE}[kernel_arg]\n", "3: kernel_arg: no such key; did you mean 'kernel_args'?"),
    (f"{IMAGE}\n\nimgae = 1\n", "5: source.imgae: no such key; did you mean 'image'?"),
    (f"{IMAGE}layout = 'lv'\n", "3: source.layout: no such key; did you mean 'layout'?"),
    (f"cloud = 'a'\n{IMAGE}", "1: cloud: no such key; did you mean 'publish.cloud'?"),
    ("image = 'a'\n", "1: image: no such key; did you mean 'source.image'?"),
    ("[sorce]\nimage = 'a'\n", "1: sorce: no such key; did you mean 'source'?"),
    (f"{IMAGE}zzz = 1\n", "3: source.zzz: no such key; the keys here are image, sha256"),
    (
        f"{IMAGE}[[publish]]\n[[publish]]\nAS = 'ami'\n",
        "5: publish.AS: no such key; did you mean 'as'?",
    ),
    (f"{IMAGE}kernel_args.append = []\n", "3: source.kernel_args: no such key; did you mean 'k…"),
    (f'"a\\u001b[1m" = 1\n{IMAGE}', "1: 'a\\x1b[1m': no such key; the keys here are source, n…"),
    (f"{'k' * 200} = 1\n{IMAGE}", f"1: '{'k' * 159}…': no such key; the keys here are source…"),
    ("", "1: source: is missing"),
    ("name = 'a'\n\n[source]\nsha256 = ''\n", "3: source.image: is missing"),
    (f"{IMAGE}[scrub]\nrule = 'a'\n", "4: scrub.rule: no such key; did you mean 'rules'?"),
    (f"{IMAGE}[scrub]\npublic-key = 'a'\n", "4: scrub.public-key: no such key; did you mean 'p…"),
    (f"{IMAGE}[[file]]\n", "3: file: no such key; did you mean 'files'?"),
    (f"{IMAGE}[[files]]\nsource = 'a'\n", "3: files.path: is missing"),
    (f"{IMAGE}[files]\nsource = 'a'\n", "3: files: expected tables headed [[files]], not a t…"),
    (f"recovery = 'a'\n{IMAGE}", "1: recovery: no such key; did you mean 'scrub.recovery'?"),
    # types
    (f"scrub = true\n{IMAGE}", "1: scrub: expected a table, not true or false"),
    (f"{IMAGE}[scrub]\nrules = ['a']\n", "4: scrub.rules: expected a string, not an array"),
    (f"deployment = '0'\n{IMAGE}", "1: deployment: expected a whole number from 0, not a string"),
    (f"deployment = -1\n{IMAGE}", "1: deployment: expected a whole number from 0, not -1"),
    (f"deployment = true\n{IMAGE}", "1: deployment: expected a whole number from 0, not true …"),
    (f"deployment = 1.5\n{IMAGE}", "1: deployment: expected a whole number from 0, not a numbe…"),
    (f"name = 2026-01-01\n{IMAGE}", "1: name: expected a string, not a date or time"),
    (f"layout = 'pvv'\n{IMAGE}", "1: layout: expected 'disk', 'lv' or 'pv', not 'pvv'; did you m…"),
    (f"layout = ['pv']\n{IMAGE}", "1: layout: expected 'disk', 'lv' or 'pv', not an array"),
    (f'engine = "a\\u0000b"\n{IMAGE}', "1: engine: expected 'auto', 'direct' or 'guestfs', not …"),
    (f"compress = true\n{IMAGE}", "1: compress: expected 'zstd', not true or false"),
    (f"compress = 'zst'\n{IMAGE}", "1: compress: expected 'zstd', not 'zst'; did you mean 'zstd'?"),
    (f"base_sha256 = 'yes'\n{IMAGE}", "1: base_sha256: expected true or false, not a string"),
    ("source = 'a.qcow2'\n", "1: source: expected a table, not a string"),
    (f"kernel_args = ['a']\n{IMAGE}", "1: kernel_args: expected a table, not an array"),
    (f"{IMAGE}[kernel_args]\nappend = 'a'\n", "4: kernel_args.append: expected an array of str…"),
    (f"{IMAGE}[kernel_args]\nappend = [\n'a',\n1]\n", "6: kernel_args.append: expected a strin…"),
    (
        f"{IMAGE}[publish]\ncloud = 'a'\n",
        "3: publish: expected tables headed [[publish]], not a t…",
    ),
    (f"{IMAGE}[[publish]]\nproperties = 'a=b'\n", "4: publish.properties: expected a table, not…"),
    (f"{IMAGE}[[publish]]\n[publish.properties]\na = 1\n", "5: publish.properties.a: expected a…"),
    (f"{IMAGE}[[publish]]\nvisibility = 'pubic'\n", "4: publish.visibility: expected 'private',…"),
    # meaning
    (f"name = 'a/b'\n{IMAGE}", "1: name: 'a/b' cannot be used in file names"),
    (f"output = ''\n{IMAGE}", "1: output: '' is not a path"),
    ('[source]\nimage = "a\\u0000"\n', "2: source.image: 'a\\x00' is not a path"),
    (
        f"{IMAGE}sha256 = 'abc'\n",
        "3: source.sha256: 'abc' is not a sha256: 64 digits of 0-9 and a-f",
    ),
    (f'{IMAGE}[kernel_args]\nappend = [\n"a",\n"b\\nc"]\n', "6: kernel_args.append: the kernel a…"),
    (f"{IMAGE}[kernel_args]\nappend = ['']\n", "4: kernel_args.append: an empty kernel argument…"),
    (f"{IMAGE}[kernel_args]\ndelete = ['a b']\n", "4: kernel_args.delete: the kernel argument '…"),
    (f"{IMAGE}[kernel_args]\ndelete = ['é']\n", "4: kernel_args.delete: the kernel argument 'é' …"),
    (
        f"{IMAGE}[[publish]]\n\nname = ' a'\n",
        "5: publish.name: the name ' a' is empty or begins o…",
    ),
    (f"{IMAGE}[[publish]]\nstore = 'ceph'\n", "4: publish.store: 'ceph' is not a store"),
    (
        f"{IMAGE}[[publish]]\n[publish.properties]\nx = 'a'\nkernel_id = 'a'\n",
        "6: publish.properties.kernel_id: the property kernel_id is not for --property: its value…",
    ),
    (f"{IMAGE}\n[[publish]]\nas = 'ami'\ncompress = true\n", "4: publish: an ami is raw: --disk…"),
    (f"layout = 'disk'\n{IMAGE}[[publish]]\nas = 'ami'\n", "4: publish: a build of layout disk …"),
    (f"{IMAGE}[scrub]\n\nrecovery = 'a'\n", "5: scrub.recovery: goes with public_key, which is…"),
    (
        f"{IMAGE}[scrub]\npublic_key = '{PUBLIC_KEY}'\n",
        "4: scrub.public_key: goes with recovery, which is missing",
    ),
    (f'{IMAGE}[scrub]\nrules = "a\\u0000"\n', "4: scrub.rules: 'a\\x00' is not a path"),
    (f"{IMAGE}[scrub]\nrecovery = ''\n", "4: scrub.recovery: '' is not a path"),
    # no TOML
    (f"{IMAGE}name = \n", "3: not TOML: Invalid value"),
    (f"{IMAGE}x\n", "3: not TOML: Expected '=' after a key in a key/value pair"),
    (f"{IMAGE}\n[kernel_args\n", "4: not TOML: Expected ']' at the end of a table declaration"),
    (f"{IMAGE}sha256 = '''abc\n\n", "3: not TOML: Expected \"'''\""),
    (f"{IMAGE}# \0\n", "3: not TOML: Found invalid character '\\x00'"),
    (f"name = 'a'\nname = 'b'\n{IMAGE}", "2: name: given twice, first on line 1"),
    (f"{IMAGE}\n[source]\n", "4: source: given twice, first on line 1"),
    (f"{IMAGE}a = {'[' * 9999}\n", "3: more than 16 values within each other"),
    (f"{IMAGE}a = {'9' * 9999}\n", "3: a word of 9999 characters"),
    (f"{IMAGE}# ".encode() + b"\xff\n", "3: not UTF-8: byte 0xff"),
    ("\ufeff" + IMAGE, "1: not TOML: Invalid statement"),
    ("a.qcow2\n", "1: not TOML: Expected '=' after a key in a key/value pair"),
]


@pytest.mark.parametrize(("text", "line"), WRONG, ids=[line for _, line in WRONG])
def test_a_wrong_recipe_is_told_by_file_line_and_key(tmp_path, text, line):
    told = refusal(written(tmp_path, text))
    start = "lab.toml:" + line.removesuffix("…")
    assert told.startswith(start) if line.endswith("…") else told == start


def test_of_several_faults_the_first_line_is_told(tmp_path):
    text = "layout = 1\nnmae = 2\n[kernel_args]\ndelete = 1\n"
    assert refusal(written(tmp_path, text)).startswith("lab.toml:1: layout: ")


def test_what_is_no_file_is_no_recipe(tmp_path):
    path = tmp_path / "lab.toml"
    assert refusal(path) == "lab.toml cannot be read: No such file or directory"
    os.mkfifo(path)
    assert refusal(path) == "lab.toml is not a recipe: not a regular file"
    path.unlink()
    path.mkdir()
    assert refusal(path) == "lab.toml is not a recipe: not a regular file"


def test_a_large_file_is_no_recipe(tmp_path):
    path = written(tmp_path, IMAGE)
    os.truncate(path, LIMIT_BYTES + 1)
    assert refusal(path) == f"lab.toml is not a recipe: larger than {LIMIT_BYTES} bytes"


def test_a_file_of_the_largest_size_is_read(tmp_path):
    path = written(tmp_path, IMAGE + "#" * (LIMIT_BYTES - len(IMAGE)))
    assert read(path).image == tmp_path / "a.qcow2"


def test_the_line_of_a_byte_that_is_no_text_is_counted_from_the_first(tmp_path):
    assert refusal(written(tmp_path, b"\n\n\xff")) == "lab.toml:3: not UTF-8: byte 0xff"
    assert refusal(written(tmp_path, b"\xff")) == "lab.toml:1: not UTF-8: byte 0xff"


def test_an_end_that_comes_too_early_is_on_the_last_line_with_words(tmp_path):
    assert refusal(written(tmp_path, f"{IMAGE}a = [1,\n\n\n")).startswith("lab.toml:3: not TOML")


def test_documents_that_are_asked_for_twice_are_written_once(tmp_path):
    text = f"sbom = ['spdx', 'cyclonedx', 'spdx']\n{IMAGE}"
    assert read(written(tmp_path, text)).options.sbom == ("cyclonedx", "spdx")


def test_a_missing_key_is_told_behind_the_one_that_was_misspelt(tmp_path):
    text = "nmae = 'a'\n[source]\nimagee = 'a'\n"
    assert refusal(written(tmp_path, text)).startswith("lab.toml:1: nmae")
    assert refusal(written(tmp_path, "[source]\nimagee = 'a'\n")).startswith(
        "lab.toml:2: source.im"
    )


def test_a_hint_goes_with_the_error(tmp_path):
    with pytest.raises(UsageError) as raised:
        read(written(tmp_path, f"name = 'a/b'\n{IMAGE}"))
    assert "letters, digits" in raised.value.hint
