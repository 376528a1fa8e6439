import json
import shlex
import subprocess
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bakery.cli import params as cli
from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.openstack.ironic import params, releases
from bakery.system import grub, kargs

CHECKSUM = "a002a2c2e44240db614e09e82c7822322253bfcaad0226f3ff9befb9f96d315f"
OSTREE = f"/ostree/boot.0/fedora-atomic/{CHECKSUM}/0"
BLUEPRINT = (
    "nofb nomodeset vga=normal console=ttyS0 no_timer_check root=/dev/mapper/atomicos-root "
    f"ostree={OSTREE}"
)
ALL_FORMS = sorted(params.FORMS)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


def a_manifest(args, layout="pv", name="fedora-atomic"):
    artifact = manifest.Artifact(size_bytes=1, digest="d")
    return manifest.Manifest(
        bakery_version="0",
        name=name,
        layout=layout,
        engine="direct",
        source=manifest.Source("atomic.qcow2", "qcow2", 1, "0" * 64),
        partition=None,
        lvm=None,
        root_filesystem=manifest.RootFilesystem("xfs", "1-2"),
        deployment=manifest.Deployment("ostree-1-fedora-atomic", "3.17.4"),
        kernel_args=tuple(args),
        artifacts={"kernel": artifact, "ramdisk": artifact, "base": artifact},
        tools={},
        key="k",
    )


def request(*args, **fields):
    return params.Request(a_manifest(args or BLUEPRINT.split()), **fields)


def rendered(form, *args, **fields):
    return params.render(form, request(*args, **fields))


@pytest.fixture
def build(tmp_path):
    def make(layout="pv"):
        made = a_manifest(BLUEPRINT.split(), layout)
        for artifact in ("kernel", "ramdisk", "base"):
            (tmp_path / made.file(artifact)).write_bytes(b"x")
        path = tmp_path / f"{made.name}{manifest.SUFFIX}"
        path.write_bytes(manifest.encode(made))
        return tmp_path

    return make


def read_by_oslo_config(text, tmp_path, place):
    """What a service of the place's release gets: its option registered as Ironic does it.

    The parser is the installed oslo.config: those of old releases do not run on this Python.
    """
    cfg = pytest.importorskip("oslo_config.cfg")
    path = tmp_path / "ironic.conf"
    path.write_text(text + "\n")
    conf = cfg.ConfigOpts()
    conf.register_opts(
        [cfg.StrOpt(place.key, deprecated_name=place.alias or None)], group=place.section
    )
    conf(["--config-file", str(path)])
    return getattr(conf[place.section], place.key)


def read_by_the_client(text):
    """The instance_info that python-ironicclient sends for a shell line, and the node's name."""
    node = pytest.importorskip("ironicclient.osc.v1.baremetal_node")
    words = shlex.split(text)
    assert words[:4] == ["openstack", "baremetal", "node", "set"]
    sent = {}
    update = SimpleNamespace(update=lambda name, patch, **_: sent.update({name: patch}))
    clients = SimpleNamespace(baremetal=SimpleNamespace(node=update))
    command = node.SetBaremetalNode(SimpleNamespace(client_manager=clients), None)
    command.take_action(command.get_parser("set").parse_args(words[4:]))
    ((name, patch),) = sent.items()
    assert all(one["op"] == "add" for one in patch)
    return name, {one["path"].removeprefix("/instance_info/"): one["value"] for one in patch}


def test_ironic_conf_holds_exactly_the_blueprints_line():
    assert rendered("ironic-conf") == f"[pxe]\nkernel_append_params = {BLUEPRINT}"


@pytest.mark.parametrize("release", ["juno", "Kilo", "train", "ussuri", "wallaby"])
def test_releases_up_to_wallaby_have_the_options_old_name(release):
    text = rendered("ironic-conf", release=release)
    assert text == f"[pxe]\npxe_append_params = {BLUEPRINT}"


@pytest.mark.parametrize("release", ["xena", "zed", "2023.1", "2026.2"])
def test_later_releases_have_the_new_name(release):
    assert "\nkernel_append_params = " in rendered("ironic-conf", release=release)


CONF_PLACES = [
    (release, place)
    for release in releases.ORDER
    for place in releases.PLACES
    if place.form == "conf" and place.holds(release)
]
NODE_PLACES = [
    (release, place)
    for release in releases.ORDER
    for place in releases.PLACES
    if place.form == "node" and place.holds(release)
]


@pytest.mark.parametrize(("release", "place"), CONF_PLACES)
@pytest.mark.parametrize("form", ["ironic-conf", "devstack"])
def test_the_options_of_each_release_give_the_arguments_back(form, release, place, tmp_path):
    text = rendered(form, release=release, boot=place.boot, deploy=place.deploy)
    conf = text.removeprefix("[[post-config|$IRONIC_CONF_FILE]]\n")
    read = read_by_oslo_config(conf, tmp_path, place)
    assert list(kargs.parse(read)) == BLUEPRINT.split()


@pytest.mark.parametrize(("release", "place"), NODE_PLACES)
def test_the_nodes_line_of_each_release_gives_the_arguments_back(release, place):
    text = rendered("node", release=release, boot=place.boot, deploy=place.deploy, node="rack1 7")
    name, info = read_by_the_client(text)
    assert name == "rack1 7"
    assert {key: list(kargs.parse(line)) for key, line in info.items()} == {
        place.key: BLUEPRINT.split()
    }


@pytest.mark.parametrize("release", ["xena", "yoga", "2026.2"])
def test_the_old_name_is_still_read_where_it_is_an_alias(release, tmp_path):
    place = releases.place("conf", release)
    text = rendered("ironic-conf", release="wallaby")
    assert read_by_oslo_config(text, tmp_path, place) == BLUEPRINT


def test_the_new_name_means_nothing_to_an_old_release(tmp_path):
    place = releases.place("conf", "wallaby")
    text = rendered("ironic-conf", release="xena")
    assert read_by_oslo_config(text, tmp_path, place) is None


@pytest.mark.parametrize(
    ("release", "fields", "reason", "way_out"),
    [
        ("juno", {}, "since Xena", "--for ironic-conf --release juno --boot pxe --deploy netboot"),
        ("wallaby", {}, "since Xena", "--for node --release wallaby --boot pxe --deploy ramdisk"),
        ("queens", {"deploy": "ramdisk"}, "came with Rocky", "--for ironic-conf"),
        ("zed", {"deploy": "netboot"}, "ended with Yoga", "--deploy ramdisk"),
        ("train", {"boot": "redfish-virtual-media"}, "since Ussuri", "--for ironic-conf"),
        ("2026.2", {"boot": "ilo-virtual-media"}, "until 2026.1", "--boot pxe"),
        ("xena", {"boot": "irmc-virtual-media", "deploy": "ramdisk"}, "no release", "--for node"),
    ],
)
def test_a_node_form_that_would_do_nothing_is_refused(release, fields, reason, way_out):
    with pytest.raises(BakeryError, match=reason) as caught:
        rendered("node", release=release, **fields)
    assert way_out in caught.value.hint


def test_a_configuration_that_the_node_would_not_get_is_refused():
    with pytest.raises(BakeryError, match="do not reach a node") as caught:
        rendered("ironic-conf", boot="redfish-virtual-media")
    assert "--for node" in caught.value.hint


def test_only_one_place_answers_each_question():
    for release in releases.ORDER:
        found = [(one.form, one.boot, one.deploy) for one in releases.PLACES if one.holds(release)]
        assert len(found) == len(set(found)), release


def test_arguments_that_are_added_are_told_so(build):
    options = ["--for", "node", "--release", "train", "--deploy", "ramdisk"]
    done = CliRunner().invoke(cli.command, [str(build()), *options])
    assert "ramdisk_kernel_arguments=" in done.stdout
    assert "behind those of ironic.conf" in done.stderr


def test_before_the_token_default_is_an_argument_like_others():
    assert "%default%" in rendered("node", "%default%", release="xena")
    with pytest.raises(BakeryError, match="configured arguments"):
        rendered("node", "x=%default%", release="zed")


@pytest.mark.parametrize("release", ["icehouse", "2014.2.1", "trusty", "2024.3", "2031.1", "\n"])
def test_a_release_without_ironic_is_refused(release):
    with pytest.raises(BakeryError, match="no OpenStack release"):
        rendered("ironic-conf", release=release)


@pytest.mark.parametrize(
    "line",
    [
        BLUEPRINT,
        "a=$x b=$$y c=z$",
        '"a b"',
        '"a" b "c"',
        "'a'",
        "'a' \"b\"",
        'dyndbg="file a.c +p; b"',
        "a=%(x)s #b ;c [d] e:f=g \\x",
        "",
    ],
)
def test_oslo_config_reads_back_what_the_build_has(line, tmp_path):
    text = params.ironic_conf(params.Request(a_manifest(kargs.parse(line)), release="2026.1"))
    assert (read_by_oslo_config(text, tmp_path, releases.place("conf", "2026.1")) or "") == line


@given(TEXTS)
def test_oslo_config_reads_back_any_line(tmp_path_factory, text):
    try:
        args = kargs.parse(text)
        conf = params.ironic_conf(params.Request(a_manifest(args), release="2026.1"))
    except BakeryError:
        return
    place = releases.place("conf", "2026.1")
    read = read_by_oslo_config(conf, tmp_path_factory.getbasetemp(), place)
    assert (read or "") == kargs.join(args)


@given(TEXTS)
def test_the_client_reads_back_any_line(text):
    try:
        args = kargs.parse(text)
        line = params.node(params.Request(a_manifest(args)))
    except BakeryError:
        return
    assert read_by_the_client(line) == ("NODE", {"kernel_append_params": kargs.join(args)})


def test_node_is_one_shell_line_that_carries_the_arguments():
    words = shlex.split(rendered("node", 'a="b c"', "d='e'", "f=$g", node="node 1"))
    assert words == [
        *["openstack", "baremetal", "node", "set", "--instance-info"],
        *["kernel_append_params=a=\"b c\" d='e' f=$g", "node 1"],
    ]


def test_a_line_the_client_would_take_for_json_is_handed_over_as_a_json_text():
    words = shlex.split(rendered("node", "1"))
    assert words[-2] == 'kernel_append_params="1"'
    deep = "[" * 2000
    words = shlex.split(rendered("node", deep, release="yoga"))
    assert words[-2] == f'kernel_append_params="{deep}"'


@pytest.mark.parametrize(
    "arg", ["a;b", "#a", "!a", "@a", "a|b", "{a}", '"a=b c"', 'a=b"c d"', "a=", 'a=""']
)
@pytest.mark.parametrize(
    ("form", "since", "before"),
    [("node", "2025.1", "2024.2"), ("ironic-conf", "2026.2", "2026.1")],
)
def test_what_ironics_grammar_refuses_is_refused_before(arg, form, since, before):
    with pytest.raises(BakeryError, match="Ironic refuses"):
        rendered(form, arg, release=since)
    assert rendered(form, arg, release=before)


def test_glance_carries_the_line_as_one_property():
    words = shlex.split(rendered("glance", 'a="b c"', "d=$e"))
    assert words == [
        *["openstack", "image", "set", "--property"],
        *['os_command_line=a="b c" d=$e', "fedora-atomic"],
    ]


def test_devstack_puts_the_option_into_ironics_configuration():
    assert rendered("devstack") == (
        "[[post-config|$IRONIC_CONF_FILE]]\n[pxe]\n" + f"kernel_append_params = {BLUEPRINT}"
    )
    assert "\npxe_append_params = " in rendered("devstack", release="juno")


@pytest.mark.parametrize(
    "arg", ['a="b"', "a=$b", "a=`b`", "a=\\b", "a=b&c", "a=*", "a=b?", "a=[b]", "-n", "-eE"]
)
def test_what_devstacks_shell_would_change_is_refused(arg):
    with pytest.raises(BakeryError, match="cannot be expressed"):
        rendered("devstack", arg)


def test_pxelinux_gets_a_label_with_the_files_and_the_line():
    assert rendered("pxelinux").splitlines() == [
        "DEFAULT fedora-atomic",
        "LABEL fedora-atomic",
        "  KERNEL fedora-atomic-kernel",
        f"  APPEND initrd=fedora-atomic-ramdisk {BLUEPRINT}",
    ]


@pytest.mark.parametrize("form", ["pxelinux", "ipxe", "grub"])
def test_a_line_that_grows_too_long_by_what_the_loader_adds_is_refused(form):
    assert rendered(form, "a" * 1900)
    with pytest.raises(BakeryError, match="2047"):
        rendered(form, "a" * 2040)


@pytest.mark.parametrize("form", ["pxelinux", "ipxe"])
def test_an_initrd_argument_of_the_images_own_is_refused(form):
    with pytest.raises(BakeryError, match="'initrd=/x'"):
        rendered(form, "ro", "initrd=/x")


def test_ipxe_gets_a_script():
    assert rendered("ipxe").splitlines() == [
        "#!ipxe",
        f"kernel fedora-atomic-kernel initrd=fedora-atomic-ramdisk {BLUEPRINT}",
        "initrd fedora-atomic-ramdisk",
        "boot",
    ]


@pytest.mark.parametrize(
    "arg", ["x=${mac}", "#x", "||", "&&", ";", 'a="b ; c"', 'a="b #c"', 'a="b  c"', "x\\"]
)
def test_what_ipxe_would_take_for_its_own_is_refused(arg):
    with pytest.raises(BakeryError, match="iPXE"):
        rendered("ipxe", "ro", arg)


@pytest.mark.parametrize("arg", ["x=a||b", "x=a;b", "x=#", "$x", "x={a}", "x\\y", 'a="b c"'])
def test_what_ipxe_leaves_alone_is_not_refused(arg):
    assert f" ro {arg}\n" in rendered("ipxe", "ro", arg)


def test_the_last_argument_alone_could_join_lines():
    assert " x\\ ro\n" in rendered("ipxe", "x\\", "ro")


@pytest.mark.parametrize("form", ["ironic-conf", "devstack", "node", "ipxe"])
def test_an_ipxe_setting_is_refused_wherever_ironic_could_pass_it_on(form):
    with pytest.raises(BakeryError, match=r"\$\{mac\}"):
        rendered(form, "x=${mac}")


@pytest.mark.parametrize(
    "args", [BLUEPRINT.split(), ['a="b c"', "d;e", "f={g}", "$h", "#i", "j&&k"]]
)
def test_grub_accepts_the_entry_and_hands_on_the_same_arguments(args, tmp_path):
    text = rendered("grub", *args)
    script = tmp_path / "grub.cfg"
    script.write_text(text + "\n")
    subprocess.run(["grub-script-check", script], check=True)
    (entry,) = grub.ordered(text.encode())
    assert list(entry.args) == args
    assert (entry.linux, entry.initrd) == ("/fedora-atomic-kernel", ("/fedora-atomic-ramdisk",))


def test_json_has_the_arguments_as_a_list_and_what_stands_out():
    found = json.loads(rendered("json"))
    assert found["kernel_args"] == BLUEPRINT.split()
    assert found["command_line"] == BLUEPRINT
    assert found["root"] == "/dev/mapper/atomicos-root"
    assert found["ostree"] == OSTREE
    assert found["kernel"] == "fedora-atomic-kernel"


@pytest.mark.parametrize("form", ALL_FORMS)
@pytest.mark.parametrize("arg", ["a\nboot", "a\rb", "a\0b", "a\x1b[2J", "ü", "\u2028", "a b", 'a"'])
def test_no_form_carries_what_could_break_out_and_each_names_it(form, arg):
    with pytest.raises(BakeryError, match="kernel argument") as caught:
        rendered(form, "ro", arg)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("form", ALL_FORMS)
@given(TEXTS)
def test_every_form_is_written_or_refused_for_any_arguments(form, text):
    try:
        result = rendered(form, *text.split(" "))
    except BakeryError as error:
        assert error.message.isprintable()
        return
    assert all(char.isprintable() or char in "\n\t" for char in result)
    assert not result.endswith("\n")


@pytest.mark.parametrize("form", ALL_FORMS)
def test_the_command_prints_each_form(form, build):
    done = CliRunner().invoke(cli.command, [str(build()), "--for", form])
    assert done.exit_code == 0
    assert done.stdout == rendered(form) + "\n"


@pytest.mark.parametrize("form", ALL_FORMS)
def test_the_command_answers_each_form_as_one_document(form, build):
    done = CliRunner().invoke(cli.command, [str(build()), "--for", form, "--json"])
    found = json.loads(done.stdout)
    assert found["text"] == rendered(form)
    assert found["command_line"] == BLUEPRINT


def test_the_command_knows_every_form():
    assert sorted(cli.FORMS) == ALL_FORMS
    assert (cli.BOOTS, cli.DEPLOYS) == (releases.BOOTS, releases.DEPLOYS)
    assert cli.FORMS_OF_IRONIC == params.FORMS_OF_IRONIC


def test_the_document_tells_where_each_fact_comes_from(build):
    words = [str(build()), "--for", "ironic-conf", "--release", "mitaka", "--json"]
    found = json.loads(CliRunner().invoke(cli.command, words).stdout)
    assert (found["release"], found["place"]["key"]) == ("mitaka", "pxe_append_params")
    said = [fact["says"] for fact in found["facts"]]
    assert releases.AGENT_OPTION.says in said
    assert releases.DEFAULT_TOKEN.says not in said
    assert all(fact["source"] for fact in found["facts"])


def test_a_whole_disk_is_told_that_its_own_loader_decides(build):
    done = CliRunner().invoke(cli.command, [str(build(layout="disk")), "--for", "node"])
    assert "its own boot loader" in done.stderr
    assert "its own boot loader" not in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--for", "grub", "--release", "juno"],
        ["--for", "ipxe", "--node", "n"],
        ["--for", "grub", "--boot", "pxe"],
    ],
)
def test_options_that_mean_nothing_together_are_wrong_usage(options, build):
    assert CliRunner().invoke(cli.command, [str(build()), *options]).exit_code == 2


def test_a_folder_without_a_build_is_named(tmp_path):
    done = CliRunner().invoke(cli.command, [str(tmp_path), "--for", "json"])
    assert isinstance(done.exception, BakeryError)
    assert "no finished build" in done.exception.message


@pytest.mark.parametrize(
    ("minor", "release"),
    [(37, "queens"), (46, "rocky"), (72, "wallaby"), (74, "wallaby"), (78, "xena"), (96, "2025.1")],
)
def test_an_api_tells_its_release(minor, release):
    assert releases.by_api(minor) == release


def test_the_releases_of_apis_are_in_their_order():
    assert list(releases.API_MINORS) == sorted(releases.API_MINORS, key=releases.ORDER.index)
    assert list(releases.API_MINORS.values()) == sorted(releases.API_MINORS.values())


@pytest.mark.parametrize("form", params.FORMS)
def test_only_what_is_for_ironic_has_a_background(form):
    found = params.background(form, params.Request(a_manifest(("ro",))))
    assert bool(found) == (form in ("ironic-conf", "devstack", "node"))
