import bisect
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.netboot import boot_config
from bakery.netboot.boot_config import ROOT_ARGUMENT, Boot, BootConfig, grub, ipxe, pxelinux
from bakery.system import kargs

MAC = "52:54:00:12:34:56"
UUID = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
URL = "http://192.168.77.1:8080"
DEPLOY = Boot(
    f"{UUID}/deploy_kernel",
    f"{UUID}/deploy_ramdisk",
    ("selinux=0", "disk=cciss/c0d0,sda", f"deployment_id={UUID}", 'note="a b"'),
    network=True,
)
IMAGE = Boot(
    f"{UUID}/kernel",
    f"{UUID}/ramdisk",
    boot_config.ironic_args(["console=ttyS0", "root=/dev/mapper/atomicos-root"]),
)
CONFIG = BootConfig(mac=MAC, deploy=DEPLOY, boot_partition=IMAGE)

FORMS = {
    "pxelinux": pxelinux,
    "ipxe": lambda config: ipxe(config, URL),
    "grub": grub,
}

PXELINUX = f"""\
default deploy
prompt 0

label deploy
  kernel {UUID}/deploy_kernel
  append initrd={UUID}/deploy_ramdisk selinux=0 disk=cciss/c0d0,sda deployment_id={UUID} note="a b"
  ipappend 3

label boot_partition
  kernel {UUID}/kernel
  append initrd={UUID}/ramdisk root={{{{ ROOT }}}} ro text console=ttyS0 \
root=/dev/mapper/atomicos-root

label boot_whole_disk
  com32 chain.c32
  append hd0
"""

IPXE = f"""\
#!ipxe
goto deploy

:deploy
imgfree
kernel {URL}/{UUID}/deploy_kernel initrd=ramdisk selinux=0 disk=cciss/c0d0,sda \
deployment_id={UUID} note="a b" BOOTIF=01-52-54-00-12-34-56 \
ip=${{ip}}:192.168.77.1:${{gateway}}:${{netmask}}
initrd --name ramdisk {URL}/{UUID}/deploy_ramdisk
boot

:boot_partition
imgfree
kernel {URL}/{UUID}/kernel initrd=ramdisk root={{{{ ROOT }}}} ro text console=ttyS0 \
root=/dev/mapper/atomicos-root
initrd --name ramdisk {URL}/{UUID}/ramdisk
boot

:boot_whole_disk
iseq ${{platform}} efi && exit 0 ||
sanboot --no-describe --drive 0x80
"""

GRUB = f"""\
set default=deploy
set timeout=0

menuentry 'deploy' --id deploy {{
  linux /{UUID}/deploy_kernel selinux=0 disk=cciss/c0d0,sda deployment_id={UUID} \
'note=a b' BOOTIF=01-52-54-00-12-34-56
  initrd /{UUID}/deploy_ramdisk
}}

menuentry 'boot_partition' --id boot_partition {{
  linux /{UUID}/kernel root={{{{ ROOT }}}} ro text console=ttyS0 root=/dev/mapper/atomicos-root
  initrd /{UUID}/ramdisk
}}

menuentry 'boot_whole_disk' --id boot_whole_disk {{
  exit 1
}}
"""


@pytest.mark.parametrize(("form", "text"), [("pxelinux", PXELINUX), ("ipxe", IPXE), ("grub", GRUB)])
def test_one_model_says_this_in_each_form(form, text):
    assert FORMS[form](CONFIG) == text


@pytest.mark.parametrize("form", FORMS)
def test_a_switched_node_boots_its_image_with_the_root_that_was_found(form):
    text = FORMS[form](CONFIG.switched("boot_partition", root="UUID=1234-abcd"))
    assert "root=UUID=1234-abcd ro text" in text
    assert "{{" not in text
    assert re.search(r"^(set default=|default |goto )boot_partition$", text, re.MULTILINE)


def test_a_whole_disk_is_booted_by_its_signature_if_it_is_known():
    text = pxelinux(CONFIG.switched("boot_whole_disk", disk="0x1234abcd"))
    assert text.startswith("default boot_whole_disk\n")
    assert text.endswith("  com32 chain.c32\n  append mbr:0x1234abcd\n")


def test_grub_reads_from_the_device_it_is_told():
    assert f"linux (http,10.0.0.1:80)/{UUID}/kernel" in grub(CONFIG, "(http,10.0.0.1:80)")
    for device in ("(hd0)", "(tftp,1);reboot", "(tftp", "http", "(http,a\n)"):
        with pytest.raises(BakeryError, match="is not a network device"):
            grub(CONFIG, device)


def test_grub_takes_the_text_for_a_script(tmp_path):
    (tmp_path / "cfg").write_text(grub(CONFIG.switched("boot_partition", root="UUID=1")))
    subprocess.run(["grub-script-check", tmp_path / "cfg"], check=True, timeout=60)


def with_args(*args):
    return BootConfig(mac=MAC, deploy=Boot("k", "r", args))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "arg",
    [
        "a\nreboot",
        "a\rb",
        "a b",
        'a="b',
        "",
        "a\0",
        "é",
        "a\tb",
        "root={{ ROOT }}\n",
        "root={{ X }}",
    ],
)
def test_an_argument_that_is_more_than_one_is_refused_everywhere(form, arg):
    with pytest.raises(BakeryError, match="kernel argument"):
        FORMS[form](with_args(arg))


@pytest.mark.parametrize("form", ["pxelinux", "ipxe"])
def test_a_second_initrd_is_refused(form):
    with pytest.raises(BakeryError, match="initrd= stands there"):
        FORMS[form](with_args("initrd=evil"))


@pytest.mark.parametrize("arg", ["a=${mac}", 'a="x  y"', "#a", 'a="b #c"', "||", "&&", ";", "a\\"])
def test_what_ipxe_would_change_is_refused(arg):
    with pytest.raises(BakeryError, match="cannot be expressed in this form"):
        ipxe(with_args(arg), URL)


def test_grub_quotes_what_its_shell_would_change():
    text = grub(with_args("a=${mac}", "b;reboot", "$(e)"))
    assert " 'a=${mac}' 'b;reboot' " in text
    assert "'$(e)'" in text


@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30), max_size=5)
)
def test_whatever_is_accepted_adds_no_line_and_no_setting(args):
    for form, render in FORMS.items():
        try:
            text = render(with_args(*args))
        except BakeryError:
            continue
        assert len(text.splitlines()) == len(render(with_args()).splitlines())
        if form == "ipxe":
            assert text.count("${") == render(with_args()).count("${")
        if form == "pxelinux":
            line = next(line for line in text.splitlines() if line.startswith("  append initrd="))
            assert kargs.parse(line.removeprefix("  append ")) == ("initrd=r", *args)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "change",
    [
        {"mac": "52:54:00:12:34:56\n"},
        {"mac": "52-54-00-12-34-56"},
        {"root": "UUID=1 init=/bin/sh"},
        {"root": "x\ny"},
        {"disk": "hd0\nreboot"},
        {"default": "boot_partition"},
        {"deploy": Boot("../k", "r")},
        {"deploy": Boot("k", "r\nboot")},
        {"deploy": Boot("k", "r${mac}")},
        {"deploy": Boot("k k", "r")},
    ],
)
def test_nothing_else_in_the_model_can_add_a_line(form, change):
    with pytest.raises(BakeryError):
        FORMS[form](BootConfig(**{"mac": MAC, "deploy": Boot("k", "r")} | change))


@pytest.mark.parametrize("url", ["ftp://a", "http://a b", "http://a/${mac}", "http://a\n", "a"])
def test_a_url_is_checked(url):
    with pytest.raises(BakeryError, match="not a URL"):
        ipxe(CONFIG, url)


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_a_kernel_would_cut_is_refused(form):
    room = kargs.LIMIT_BYTES - len("initrd=ramdisk BOOT_IMAGE=/k initrd=r")
    FORMS[form](with_args("a" * (room - 100)))
    with pytest.raises(BakeryError, match="kernels keep"):
        FORMS[form](with_args("a" * (kargs.LIMIT_BYTES - 1)))
    with pytest.raises(BakeryError, match="kernels keep"):
        config = BootConfig(mac=MAC, deploy=Boot("k", "r", ("a" * (room - 10), ROOT_ARGUMENT)))
        FORMS[form](config)


def test_configurations_lie_where_boot_programs_look():
    assert boot_config.pxelinux_name(MAC) == "pxelinux.cfg/01-52-54-00-12-34-56"
    assert boot_config.grub_name(MAC) == "grub/52:54:00:12:34:56.cfg"
    assert boot_config.ipxe_name(MAC) == "ipxe/52-54-00-12-34-56.ipxe"
    with pytest.raises(BakeryError, match="is not an Ethernet address"):
        boot_config.grub_name("../../x")


def longest(form, args, *, network=False, root=""):
    """The longest argument that may come beside these."""

    def too_long(length):
        boot = Boot("k", "r", (*args, "x" * length), network=network)
        config = BootConfig(mac=MAC, deploy=Boot("k", "r"), boot_partition=boot, root=root)
        try:
            FORMS[form](config)
        except BakeryError:
            return True
        return False

    return bisect.bisect_left(range(5000), True, lo=1, key=too_long) - 1


@pytest.mark.parametrize("form", FORMS)
def test_there_is_room_for_a_root_of_64_bytes_that_is_not_known_yet(form):
    unknown = longest(form, [ROOT_ARGUMENT])
    assert unknown == longest(form, [ROOT_ARGUMENT], root="y" * 64)
    assert unknown == longest(form, [], root="") - len(" root=" + "y" * 64)


@pytest.mark.parametrize("form", FORMS)
def test_there_is_room_for_the_longest_words_a_boot_program_adds(form):
    card = " BOOTIF=01-ff-ff-ff-ff-ff-ff"
    address = "" if form == "grub" else " ip=" + ":".join(["255.255.255.255"] * 4)
    assert longest(form, []) - longest(form, [], network=True) == len(card + address)


def test_grub_is_told_which_card_alone():
    text = grub(CONFIG)
    assert "BOOTIF=01-52-54-00-12-34-56" in text and "ip=" not in text


def test_where_the_server_is_known_by_name_alone_ipxe_says_the_next_one():
    boot = Boot("kernel", "ramdisk", network=True)
    config = BootConfig(mac="52:54:00:12:34:56", deploy=boot)
    for url in ("http://boot.example:80", "http://1.2.3.4.example/a", "http://1.2.3"):
        assert "ip=${ip}:${next-server}:" in ipxe(config, url)
    assert "ip=${ip}:10.0.0.1:" in ipxe(config, "https://10.0.0.1/a/b")
