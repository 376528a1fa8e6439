import pytest

from bakery.devstack import check, host, localconf, localrc, settings, sources
from bakery.host.errors import BakeryError, UsageError
from bakery.openstack.ironic import params, releases
from tests.devstack.builds import LARGE, a_build, a_setting

PLUGIN_RELEASES = [one for one in releases.ORDER if sources.has_plugin(one)]


@pytest.mark.parametrize("layout", ["pv", "lv", "disk"])
@pytest.mark.parametrize("release", PLUGIN_RELEASES)
def test_each_release_gets_a_local_conf_in_which_nothing_is_wrong(release, layout, tmp_path):
    build = a_build(layout)
    path = tmp_path / "local.conf"
    path.write_text(localconf.write(build, a_setting(build, release, nodes=3)))
    assert check.check(path, release="", host=LARGE, build=build) == (release, [])


@pytest.mark.parametrize("release", ["juno", "liberty"])
def test_a_release_of_2014_gets_a_pair_in_which_nothing_is_wrong(release, tmp_path):
    build = a_build()
    files = localrc.write(build, a_setting(build, release))
    (tmp_path / "localrc").write_text(files.localrc)
    (tmp_path / "local.conf").write_text(files.local_conf)
    for name in ("localrc", "local.conf"):
        found = check.check(tmp_path / name, release=release, host=LARGE, build=build)
        assert found == (release, [])


def test_the_arguments_are_those_of_params():
    build = a_build()
    text = localconf.write(build, a_setting(build, "wallaby"))
    assert params.render("devstack", params.Request(build, "wallaby")) in text


def test_a_whole_disk_has_no_arguments_and_is_written_by_the_agent():
    text = localconf.write(a_build("disk"), a_setting(a_build("disk"), "2026.1"))
    assert "[[post-config" not in text
    assert "IRONIC_DEFAULT_DEPLOY_INTERFACE=direct" in text


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("mitaka", "disable_service n-net"),
        ("yoga", "IRONIC_DEFAULT_BOOT_OPTION=netboot"),
        ("yoga", "ironic unmaintained/yoga"),
        ("train", "ironic train-eol"),
        ("2026.1", "ironic stable/2026.1"),
        ("2026.1", "IRONIC_DEFAULT_DEPLOY_INTERFACE=ramdisk"),
        ("2026.1", "GLANCE_LIMIT_IMAGE_SIZE_TOTAL=8145"),
        ("2026.1", "IRONIC_BOOT_MODE=uefi"),
        ("wallaby", "IRONIC_BOOT_MODE=bios"),
        ("train", "IRONIC_VM_SPECS_RAM=1280"),
    ],
)
def test_each_release_has_its_own_settings(release, said):
    lines = localconf.write(a_build(), a_setting(a_build(), release)).splitlines()
    assert any(line.endswith(said) for line in lines)


@pytest.mark.parametrize(("release", "lacks"), [("mitaka", "BOOT_MODE"), ("zed", "BOOT_OPTION")])
def test_what_a_release_does_not_know_is_left_out(release, lacks):
    assert lacks not in localconf.write(a_build(), a_setting(a_build(), release))


def test_each_form_points_to_the_other():
    build = a_build()
    with pytest.raises(BakeryError, match="not a plugin") as caught:
        localconf.write(build, a_setting(build, "juno"))
    assert "bakery devstack localrc --release juno" in caught.value.hint
    with pytest.raises(BakeryError, match="is a plugin") as caught:
        localrc.write(build, a_setting(build, "zed"))
    assert "bakery devstack local.conf --release zed" in caught.value.hint


def test_pxe_ssh_boots_no_disk():
    with pytest.raises(BakeryError, match="partition images"):
        localrc.write(a_build("disk"), a_setting(a_build("disk"), "juno"))


def test_kilo_is_nowhere_to_be_had():
    with pytest.raises(BakeryError, match="Kilo"):
        sources.git_ref("kilo")


@pytest.mark.parametrize("release", [one for one in releases.ORDER if one != "kilo"])
def test_a_branch_tells_its_release(release):
    assert sources.release_of(sources.git_ref(release)) == release


def test_firmware_of_a_disk_decides_and_needs_a_release_that_can():
    assert settings.boot_mode(a_build("disk", firmware=("uefi",)), "train") == "uefi"
    assert settings.boot_mode(a_build("disk", firmware=("bios",)), "zed") == "bios"
    assert settings.boot_mode(a_build("disk", firmware=("bios", "uefi")), "zed") == "uefi"
    with pytest.raises(BakeryError, match="only boots by UEFI"):
        settings.boot_mode(a_build("disk", firmware=("uefi",)), "mitaka")


def test_the_disk_holds_the_base():
    large = a_build(base_bytes=(20 << 30) + 1)
    assert a_setting(large, "zed").node_disk_gib == 22
    assert a_setting(a_build(), "zed").node_disk_gib == 10
    with pytest.raises(BakeryError, match="does not fit"):
        a_setting(large, "zed", disk_gib=20)


@pytest.mark.parametrize(
    "fields",
    [
        {"nodes": 0},
        {"host_ip": "10.0.0.1; rm"},
        {"log_folder": "/tmp/$(x)"},
        {"log_folder": "logs"},
    ],
)
def test_what_a_shell_would_read_otherwise_is_wrong_usage(fields):
    with pytest.raises(UsageError):
        a_setting(a_build(), "zed", **fields)


@pytest.mark.parametrize("password", ["", "a b", "$x", "ü", "a" * 65])
def test_a_password_is_letters_and_digits(password):
    with pytest.raises(UsageError, match="--password-file") as refused:
        settings.make(a_build(), release="zed", password=password)
    assert not password or password not in refused.value.message


@pytest.mark.parametrize(
    ("gib", "nodes", "mib", "levels"),
    [
        (64, 3, 3072, []),
        (16, 1, 1024, []),
        (15.4, 1, 1024, []),
        (8, 1, 1024, ["warning"]),
        (14, 1, 1024, ["warning"]),
        (16, 3, 3072, ["warning"]),
        (16, 6, 3072, ["error"]),
    ],
)
def test_memory_is_held_against_the_machine(gib, nodes, mib, levels):
    machine = host.Host(int(gib * host.GIB))
    assert [level for level, _ in host.memory_faults(machine, nodes, mib)] == levels


def test_this_machine_has_memory(tmp_path):
    assert host.this().memory_bytes > 0
    (tmp_path / "meminfo").write_text("MemTotal:  16 kB\n")
    assert host.this(tmp_path / "meminfo") == host.Host(16384)
    for text in ("", "MemTotal: x kB\n"):
        (tmp_path / "meminfo").write_text(text)
        with pytest.raises(BakeryError):
            host.this(tmp_path / "meminfo")


def test_the_hosts_address_is_written_where_it_is_known():
    build = a_build()
    known = localconf.write(build, a_setting(build, "2026.1", host_ip="192.0.2.7"))
    assert "HOST_IP=192.0.2.7" in known.splitlines()
    assert "HOST_IP" not in localconf.write(build, a_setting(build, "2026.1"))
