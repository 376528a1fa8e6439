"""What cannot be searched is refused, all at once, or left by its name."""

import pytest

from bakery.build.scrub.unsearched import Unsearched, refuse
from bakery.host.errors import BakeryError

HOME = Unsearched("/home", "UUID=1", "/etc/fstab:2", "is encrypted")
TWIN = Unsearched("/home", "UUID=2", "home.mount:3", "is thin")
MD = Unsearched("/dev/md0", "/dev/md0", "/etc/fstab:4", "is an array")


def test_nothing_left_is_nothing_to_refuse():
    refuse((), ())
    refuse((HOME, TWIN, MD), ("/home/", "/dev/md0"))


def test_all_is_refused_at_once_with_the_way_out():
    with pytest.raises(BakeryError) as refused:
        refuse((HOME, TWIN, MD), ())
    assert refused.value.message == (
        "the system uses what cannot be searched: /home (/etc/fstab:2): UUID=1 is encrypted; "
        "/home (home.mount:3): UUID=2 is thin; /dev/md0 (/etc/fstab:4): /dev/md0 is an array"
    )
    assert refused.value.hint == (
        "what is in it can be left as it is: --leave-unsearched /home --leave-unsearched /dev/md0"
    )
    with pytest.raises(BakeryError, match=r"cannot be searched: /dev/md0 \(/etc/fstab:4\)"):
        refuse((HOME, TWIN, MD), ("/home",))


def test_a_name_that_nothing_has_is_refused():
    with pytest.raises(BakeryError, match="--leave-unsearched /var: nothing of that") as refused:
        refuse((HOME, MD), ("/home", "/var"))
    assert refused.value.hint == "left unsearched: /dev/md0, /home"
    with pytest.raises(BakeryError, match="--leave-unsearched /var") as refused:
        refuse((), ("/var",))
    assert refused.value.hint == "leave the option out"
