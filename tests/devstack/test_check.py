import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bakery.cli import devstack as cli
from bakery.devstack import check, localconf, localrc, metaconf, shell
from bakery.devstack.host import GIB, Host
from bakery.host.errors import BakeryError
from tests.devstack.builds import LARGE, a_build, a_setting, put

BUILD = a_build()
GOOD = localconf.write(BUILD, a_setting(BUILD, "2026.1", nodes=3))
PXE = "[[post-config|$IRONIC_CONF_FILE]]\n[pxe]\nkernel_append_params = "


def findings(tmp_path, text, release="", host=LARGE, build=BUILD):
    path = tmp_path / "local.conf"
    path.write_text(text)
    return check.check(path, release=release, host=host, build=build)[1]


def line_of(text, part):
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


# What is changed, into what, the rule that finds it, its level, and a part of the line it names.
CHANGES = [
    ("[[post-config|", "[[post-config |", "header-blank", "error", "[[post-config |"),
    ("[[post-config|", "[[post-confg|", "phase", "error", "[[post-confg|"),
    ("[[post-config|", " [[post-config|", "header", "error", " [[post-config|"),
    ("|$IRONIC_CONF_FILE]]", "]]", "header", "error", "[[post-config]]"),
    ("|$IRONIC_CONF_FILE]]", "|]]", "no-file", "error", "[[post-config|]]"),
    ("$IRONIC_CONF_FILE", "ironic.conf", "relative-file", "error", "|ironic.conf"),
    ("$IRONIC_CONF_FILE", "$Q_PLUGIN_CONF_FILE", "relative-file", "error", "$Q_PLUGIN"),
    ("$IRONIC_CONF_FILE", "$IRONIC_CONF", "file-variable", "warning", "$IRONIC_CONF]]"),
    ("[[local|localrc]]", "X=1\n[[local|localrc]]", "outside", "error", "X=1"),
    ("[[local|localrc]]", "[[local|localconf]]", "local-file", "error", "localconf"),
    ("[pxe]\n", "", "no-section", "error", "kernel_append_params"),
    ("kernel_append_params =", " kernel_append_params =", "indented", "error", "kernel_append"),
    ("[pxe]\n", "[pxe]\nplain\n", "no-equals", "error", "plain"),
    ("VIRT_DRIVER=ironic", "VIRT_DRIVER = ironic", "blank-at-equals", "error", "VIRT_DRIVER ="),
    ("VIRT_DRIVER=ironic", "VIRT_DRIVER=libvirt", "virt-driver", "warning", "VIRT_DRIVER="),
    ("VIRT_DRIVER=ironic", "VIRT_DRIVER=ironic\ndisable_service key", "service", "error", ""),
    ("enable_plugin ironic", "# enable_plugin ironic", "no-plugin", "error", ""),
    ("enable_plugin", "enable_plugin ironic x\nenable_plugin", "plugin-twice", "error", "c https"),
    ("ADMIN_PASSWORD=secret1", "", "password", "warning", ""),
    ("ADMIN_PASSWORD=secret1", "ADMIN_PASSWORD=a-b", "password", "warning", "ADMIN_PASS"),
    ("BASIC_OPS=True", "BASIC_OPS=False", "no-nodes", "error", "BASIC_OPS"),
    ("VM_COUNT=3", "VM_COUNT=30", "memory", "error", "VM_COUNT"),
    ("VM_COUNT=3", "VM_COUNT=three", "number", "error", "VM_COUNT"),
    ("VM_COUNT=3", "VM_COUNT=0", "number", "error", "VM_COUNT"),
    ("SPECS_DISK=10", "SPECS_DISK=5", "disk", "error", "SPECS_DISK"),
    ("=/opt/stack/ironic-bm-logs", "=$HOME/logs", "console-folder", "error", "IRONIC_VM_LOG_DIR"),
    ("=/opt/stack/ironic-bm-logs", "=/home/a/b", "console-folder", "error", "IRONIC_VM_LOG_DIR"),
    ("=/opt/stack/ironic-bm-logs", "=/tmp", "console-folder", "error", "IRONIC_VM_LOG_DIR"),
    ("BOOT_MODE=uefi", "BOOT_MODE=efi", "boot-mode", "error", "BOOT_MODE"),
    ("SIZE_TOTAL=8145", "SIZE_TOTAL=6000", "glance-limit", "error", "SIZE_TOTAL"),
    ("kernel_append_params", "pxe_append_parms", "no-arguments", "error", ""),
    ("[pxe]", "[ilo]", "option", "error", "kernel_append_params"),
    ("[[post-config|", "[[post-extra|", "late", "warning", "kernel_append_params"),
    ("console=ttyS0", "console=*", "changed", "error", "kernel_append_params"),
    ("console=ttyS0", 'console="x y"', "changed", "error", "kernel_append_params"),
    ("console=ttyS0", "", "arguments", "error", "kernel_append_params"),
    ("Q_AGENT=", "enable_service tls-proxy\nQ_AGENT=", "agent-tls", "warning", "kernel_append"),
]


@pytest.mark.parametrize(("old", "new", "rule", "level", "part"), CHANGES)
def test_one_thing_wrong_is_found_at_its_line(old, new, rule, level, part, tmp_path):
    assert old in GOOD
    text = GOOD.replace(old, new)
    found = [one for one in findings(tmp_path, text) if one.rule == rule]
    assert [one.level for one in found[:1]] == [level]
    assert found[0].line == (line_of(text, part) if part else 0)
    assert "".join(found[0].place) == str(tmp_path / "local.conf")


def test_a_driver_that_is_not_enabled_is_found(tmp_path):
    text = (
        GOOD + "[[local|localrc]]\nIRONIC_ENABLED_HARDWARE_TYPES=ipmi\nIRONIC_DEPLOY_DRIVER=redfish"
    )
    (found,) = findings(tmp_path, text)
    assert (found.rule, found.hint) == ("driver", "IRONIC_ENABLED_HARDWARE_TYPES=ipmi,redfish")


def test_the_images_firmware_counts(tmp_path):
    disk = a_build("disk", firmware=("bios",))
    text = localconf.write(disk, a_setting(disk, "2026.1")).replace("MODE=bios", "MODE=uefi")
    (found,) = findings(tmp_path, text, build=disk)
    assert found.rule == "boot-mode"
    assert found.hint == "IRONIC_BOOT_MODE=bios"


def test_the_release_of_the_check_and_of_the_plugin_are_compared(tmp_path):
    rules = {one.rule for one in findings(tmp_path, GOOD, release="wallaby")}
    assert rules == {"plugin-release", "option"}


def test_ironic_of_2014_is_no_plugin(tmp_path):
    rules = {one.rule for one in findings(tmp_path, GOOD, release="juno")}
    assert {"service", "plugin-release", "option", "boot-mode"} <= rules


def test_a_localrc_beside_it_hides_the_section(tmp_path):
    (tmp_path / "localrc").write_text("X=1\n")
    assert [one.rule for one in findings(tmp_path, GOOD)] == ["localrc-beside"]


def test_findings_of_a_pair_name_the_right_file(tmp_path):
    (tmp_path / "localrc").write_text("A=1\nVIRT_DRIVER = ironic\n")
    (tmp_path / "local.conf").write_text(f"# one\n{PXE}a=*\n")
    _, found = check.check(tmp_path / "localrc", release="juno", host=LARGE)
    places = {one.rule: ("".join(one.place), one.line) for one in found}
    assert places["blank-at-equals"] == (str(tmp_path / "localrc"), 2)
    assert places["changed"] == (str(tmp_path / "local.conf"), 4)


def test_without_an_image_its_arguments_are_not_asked_for(tmp_path):
    assert findings(tmp_path, GOOD.replace("console=ttyS0", ""), build=None) == []


def test_a_small_machine_is_a_warning(tmp_path):
    (found,) = findings(tmp_path, GOOD, host=Host(16 * GIB))
    assert (found.level, found.rule) == ("warning", "memory")


@pytest.mark.parametrize("content", [b"\xff", b"\0", b"#" * (metaconf.SIZE_LIMIT_BYTES + 1)])
def test_what_is_no_text_is_refused(content, tmp_path):
    path = tmp_path / "local.conf"
    path.write_bytes(content)
    with pytest.raises(BakeryError, match=r"local\.conf"):
        check.check(path, release="", host=LARGE)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BakeryError, match="cannot be read"):
        check.check(tmp_path / "none", release="", host=LARGE)


@given(st.text(st.sampled_from("[]|$ =\"'\\\n#;abIRONIC_VM_LOG_DIR*`(){}~9\u00fc"), max_size=200))
def test_any_text_is_read(tmp_path_factory, text):
    findings(tmp_path_factory.mktemp("any"), text)


def lines(text):
    return metaconf.parse("[[local|localrc]]\n" + text).localrc


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("export A=b # c", "b"),
        ("A='$B'", "$B"),
        ('A="b c"', "b c"),
        ("B=x\nA=$B/y", "x/y"),
        ("B=x\nA=${B}y", "xy"),
        ("A=${B:-z}", "z"),
        ("A=1\nA+=2", "12"),
        ("A=b\\\nc", "bc"),
        ("A=$HOME/x", "?"),
        ("A=$(id)", "?"),
    ],
)
def test_settings_are_read_as_bash_would(text, value):
    assert shell.read(lines(text)).text("A", "?") == value


def test_services_go_by_the_last_word():
    found = shell.read(
        lines("enable_service a,b c\ndisable_service b\ndisable_all_services\nenable_service c")
    )
    assert [found.enabled(name) for name in "abc"] == [False, False, True]
    assert shell.read(()).enabled("a") is None


def test_what_is_a_program_is_passed_over():
    found = shell.read(lines("if true; then\nA=b\nfi\nB='open\nexport\n"))
    assert found == shell.Localrc({"A": shell.Value(3, "b", True)}, (), ())


def test_the_command_prints_file_and_line_and_ends_with_1(tmp_path):
    folder = put(tmp_path / "build", BUILD)
    path = tmp_path / "local.conf"
    path.write_text(GOOD.replace("console=ttyS0", "console=*"))
    words = ["check", str(path), "--image", str(folder), "--memory", "64"]
    done = CliRunner().invoke(cli.command, words)
    line = line_of(path.read_text(), "kernel_append")
    assert done.exit_code == 1
    assert f"{path}:{line}: error: the kernel argument 'console=*'" in done.stdout
    found = json.loads(CliRunner().invoke(cli.command, [*words, "--json"]).stdout)
    assert (found["release"], found["errors"]) == ("2026.1", 2)
    assert {one["rule"] for one in found["findings"]} == {"changed", "arguments"}
    keys = ["level", "rule", "line", "says", "remedy", "file"]
    assert all(list(one) == keys for one in found["findings"])
    path.write_text(GOOD)
    done = CliRunner().invoke(cli.command, words)
    assert (done.exit_code, done.stdout) == (
        0,
        f"{path}: no problems found for 2026.1\n",
    )


def test_the_command_writes_once_and_only_over_its_own(tmp_path):
    folder = put(tmp_path / "build", BUILD)
    path = tmp_path / "local.conf"
    words = ["local.conf", str(folder), "-o", str(path), "--memory", "64", "--password-file"]
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("abc")
    words.append(str(password))
    assert CliRunner().invoke(cli.command, words).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert CliRunner().invoke(cli.command, words).exit_code == 0
    other = CliRunner().invoke(cli.command, [*words, "--nodes", "2"])
    assert isinstance(other.exception, BakeryError)
    assert "IRONIC_VM_COUNT=1" in path.read_text()
    assert CliRunner().invoke(cli.command, [*words, "--nodes", "2", "--replace"]).exit_code == 0
    assert "IRONIC_VM_COUNT=2" in path.read_text()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["build", "local.conf", "password"]


def test_the_command_refuses_nodes_the_machine_has_no_memory_for(tmp_path):
    folder = put(tmp_path / "build", BUILD)
    words = ["local.conf", str(folder), "-o", str(tmp_path / "x"), "--nodes", "9", "--memory", "16"]
    done = CliRunner().invoke(cli.command, words)
    assert isinstance(done.exception, BakeryError)
    assert not (tmp_path / "x").exists()


def test_the_command_writes_the_pair_of_2014(tmp_path):
    folder = put(tmp_path / "build", BUILD)
    done = CliRunner().invoke(
        cli.command, ["localrc", str(folder), "-o", str(tmp_path), "--memory", "16", "--json"]
    )
    assert json.loads(done.stdout)["release"] == "juno"
    assert "pxe_append_params" in (tmp_path / "local.conf").read_text()
    localrc = (tmp_path / "localrc").read_text()
    assert "SERVICE_TOKEN=" in localrc
    assert "[[" not in localrc


def test_a_finding_in_a_pair_is_told_with_its_file_and_the_line_in_it(tmp_path):
    files = localrc.write(BUILD, a_setting(BUILD, "liberty"))
    lines = [*files.localrc.splitlines(), "X = 1"]
    (tmp_path / "localrc").write_text("\n".join(lines) + "\n")
    (tmp_path / "local.conf").write_text("X=2\n" + files.local_conf)
    found = check.check(tmp_path / "local.conf", release="liberty", host=LARGE, build=BUILD)[1]
    assert {(one.place, one.line) for one in found} == {
        ((str(tmp_path / "localrc"),), len(lines)),
        ((str(tmp_path / "local.conf"),), 1),
    }


def test_a_localrc_beside_a_file_that_has_its_own_is_told(tmp_path):
    (tmp_path / "localrc").write_text("A=1\n")
    found = findings(tmp_path, GOOD)
    assert [one.rule for one in found if one.rule == "localrc-beside"] == ["localrc-beside"]
