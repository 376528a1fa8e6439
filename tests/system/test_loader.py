from bakery.system import bls, grub, loader

GRUB_CFG = b"""menuentry 'Debian' {
	linux	/boot/vmlinuz-6.1 root=UUID=1 ro console=tty0 console=ttyS0
	initrd	/boot/initrd-6.1
}
menuentry 'Debian (recovery mode)' {
	linux	/boot/vmlinuz-6.1 root=UUID=1 ro single console=tty0
}
menuentry 'Debian, old' {
	linux	/boot/vmlinuz-5.10 root=UUID=1 ro console=tty0
}
"""
ENTRY = b"title x\noptions root=UUID=1 ro console=tty0 console=ttyS0\nlinux /vmlinuz-6.1\n"
CHANGE = loader.change(("console",), ("console=ttyS1,115200",))
NOTHING = loader.change((), ())
OLD = ("root=UUID=1", "ro", "console=tty0", "console=ttyS0")
NEW = ("root=UUID=1", "ro", "console=ttyS1,115200")


def test_every_grub_line_of_the_kernel_gets_the_change_and_keeps_its_own():
    new = grub.set_args(GRUB_CFG, "/boot/vmlinuz-6.1", CHANGE)
    assert b"root=UUID=1 ro console=ttyS1,115200\n" in new
    assert b"root=UUID=1 ro single console=ttyS1,115200\n" in new
    assert b"vmlinuz-5.10 root=UUID=1 ro console=tty0\n" in new


def test_a_loader_entry_gets_the_change_in_its_options():
    new = loader.in_entry(ENTRY, "a.conf", CHANGE, OLD, NEW)
    assert bls.arguments(bls.parse(new, "a.conf")) == ("root=UUID=1", "ro", "console=ttyS1,115200")


def test_no_change_asked_for_changes_nothing():
    assert grub.set_args(GRUB_CFG, "/vmlinuz-6.1", NOTHING) == GRUB_CFG
    assert loader.in_entry(ENTRY, "a.conf", NOTHING, OLD, OLD) == ENTRY


def test_a_file_that_lacks_what_is_deleted_still_gets_what_is_added():
    change = loader.change(("absent", "ro"), ("new",))
    assert change(("ro", "x")) == ("x", "new")


def test_a_variable_in_an_entry_stays_one():
    text = b"options $kernelopts quiet\nlinux /k\n"
    change = loader.change(("quiet",), ("new",))
    new = loader.in_entry(text, "a.conf", change, ("a", "quiet"), ("a", "new"))
    assert new == b"options $kernelopts new\nlinux /k\n"


def test_what_goes_out_of_a_variable_goes_from_the_entry():
    text = b"options $kernelopts quiet\nlinux /k\n"
    change = loader.change(("a",), ())
    new = loader.in_entry(text, "a.conf", change, ("a", "b", "quiet"), ("b", "quiet"))
    assert new == b"options b quiet\nlinux /k\n"


def test_the_defaults_of_update_grub_get_what_differs():
    text = b'GRUB_CMDLINE_LINUX="console=tty0 a"\n'
    new = loader.in_defaults(
        text, ("root=1", "console=tty0", "a"), ("root=1", "a", "console=ttyS1")
    )
    assert new == b'GRUB_CMDLINE_LINUX="a console=ttyS1"\n'
