import json
import shlex
import subprocess

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bakery import manifest, params
from bakery.cli import params as cli
from bakery.errors import BakeryError
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


def read_by_oslo_config(text, tmp_path, option="kernel_append_params"):
    cfg = pytest.importorskip("oslo_config.cfg")
    path = tmp_path / "ironic.conf"
    path.write_text(text + "\n")
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt(option)], group="pxe")
    conf(["--config-file", str(path)])
    return getattr(conf.pxe, option)


def test_ironic_conf_holds_exactly_the_blueprints_line():
    assert rendered("ironic-conf") == f"[pxe]\nkernel_append_params = {BLUEPRINT}"


@pytest.mark.parametrize("release", ["juno", "Kilo", "train"])
def test_releases_up_to_train_have_the_options_old_name(release):
    text = rendered("ironic-conf", release=release)
    assert text == f"[pxe]\npxe_append_params = {BLUEPRINT}"


@pytest.mark.parametrize("release", ["ussuri", "zed", "2023.1", "2026.2"])
def test_later_releases_have_the_new_name(release):
    assert "\nkernel_append_params = " in rendered("ironic-conf", release=release)


@pytest.mark.parametrize("release", ["icehouse", "2014.2.1", "trusty", "2024.3", "\n"])
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
    text = (
        rendered("ironic-conf", *kargs.parse(line))
        if line
        else params.ironic_conf(params.Request(a_manifest([])))
    )
    assert (read_by_oslo_config(text, tmp_path) or "") == line


@given(TEXTS)
def test_oslo_config_reads_back_any_line(tmp_path_factory, text):
    try:
        args = kargs.parse(text)
        conf = params.ironic_conf(params.Request(a_manifest(args)))
    except BakeryError:
        return
    read = read_by_oslo_config(conf, tmp_path_factory.getbasetemp())
    assert (read or "") == kargs.join(args)


def test_node_is_one_shell_line_that_carries_the_arguments():
    words = shlex.split(rendered("node", 'a="b c"', "d='e'", "f=$g", node="node 1"))
    assert words == [
        *["openstack", "baremetal", "node", "set", "--instance-info"],
        *["kernel_append_params=a=\"b c\" d='e' f=$g", "node 1"],
    ]


def test_a_line_the_client_would_take_for_json_is_handed_over_as_a_json_text():
    words = shlex.split(rendered("node", "1"))
    assert words[-2] == 'kernel_append_params="1"'


@pytest.mark.parametrize("arg", ["a;b", "#a", "!a", "@a", "a|b", "{a}", '"a=b c"', 'a=b"c d"'])
def test_what_ironics_grammar_refuses_is_refused_before(arg):
    with pytest.raises(BakeryError, match="Ironic refuses"):
        rendered("node", arg)


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


@pytest.mark.parametrize("arg", ['a="b"', "a=$b", "a=`b`", "a\\b", "a&b"])
def test_what_devstacks_shell_would_change_is_refused(arg):
    with pytest.raises(BakeryError, match="cannot be said"):
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
    (entry,) = grub.ordered(grub.parse(text.encode()))
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


def test_a_whole_disk_is_told_that_its_own_loader_decides(build):
    done = CliRunner().invoke(cli.command, [str(build(layout="disk")), "--for", "node"])
    assert "its own boot loader" in done.stderr
    assert "its own boot loader" not in done.stdout


@pytest.mark.parametrize(
    "options", [[], ["--for", "grub", "--release", "juno"], ["--for", "ipxe", "--node", "n"]]
)
def test_options_that_mean_nothing_together_are_wrong_usage(options, build):
    assert CliRunner().invoke(cli.command, [str(build()), *options]).exit_code == 2


def test_a_folder_without_a_build_is_named(tmp_path):
    done = CliRunner().invoke(cli.command, [str(tmp_path), "--for", "json"])
    assert isinstance(done.exception, BakeryError)
    assert "no finished build" in done.exception.message
