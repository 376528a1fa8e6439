from datetime import timedelta

import msgspec
import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.glance import prune, records
from bakery.openstack.glance.prune import Bounds
from bakery.openstack.glance.records import Image
from tests.openstack.glance.memory import MemoryImages
from tests.openstack.glance.test_health import HOUR, NOW, image

BOUNDS = Bounds(older_than=HOUR)
OLD = HOUR * 2


def doomed(*images, bounds=BOUNDS):
    return {one.id for one in prune.find_unused(MemoryImages(*images), bounds, NOW).doomed}


def test_what_nothing_refers_to_goes_when_it_is_old_enough():
    young = image("young", age=HOUR - timedelta(seconds=1))
    assert doomed(young, image("old", age=HOUR)) == {"old"}


def test_an_upload_goes_when_it_was_silent_long_enough():
    young = image("young", records.BASE, status="saving", age=HOUR - timedelta(seconds=1))
    assert doomed(young, image("old", records.BASE, status="saving", age=HOUR)) == {"old"}


@pytest.mark.parametrize(
    "name",
    [records.KERNEL_ID, records.RAMDISK_ID, records.OWN_KERNEL_ID, records.OWN_RAMDISK_ID],
)
def test_what_any_image_refers_to_stays(name):
    foreign = Image(id="theirs", status="active", owner="others", properties={name: "K"})
    assert doomed(image("k", age=OLD), foreign) == set()


def test_what_a_young_upload_refers_to_stays():
    base = image("b", records.BASE, status="saving", **{records.KERNEL_ID: "k"})
    assert doomed(image("k", age=OLD), base) == set()


def test_what_a_dead_upload_refers_to_goes_with_it():
    base = image("b", records.BASE, status="queued", age=OLD, **{records.KERNEL_ID: "k"})
    assert doomed(image("k", age=OLD), base) == {"b", "k"}


def test_what_a_dead_upload_refers_to_stays_where_that_is_protected():
    base = image("b", records.BASE, status="queued", age=OLD, **{records.KERNEL_ID: "k"})
    guarded = msgspec.structs.replace(base, protected=True)
    plan = prune.find_unused(MemoryImages(image("k", age=OLD), guarded), BOUNDS, NOW)
    assert plan.doomed == ()
    assert [one.id for one in plan.spared] == ["b"]


@pytest.mark.parametrize("visibility", ["public", "community", "shared"])
def test_what_others_may_see_stays_since_their_images_may_refer_to_it(visibility):
    seen = msgspec.structs.replace(image("k", age=OLD), visibility=visibility)
    plan = prune.find_unused(MemoryImages(seen), BOUNDS, NOW)
    assert plan.doomed == ()
    assert f"it is {visibility}: images of other projects may refer to it" in plan.spared[0].why


def test_a_hidden_base_and_its_kernel_go_only_where_that_is_asked_for():
    base = image("b", records.BASE, age=OLD, **{records.KERNEL_ID: "k"})
    images = (image("k", age=OLD), msgspec.structs.replace(base, hidden=True))
    assert doomed(*images) == set()
    assert doomed(*images, bounds=Bounds(older_than=HOUR, hidden=True)) == {"b", "k"}


def test_a_base_that_is_active_and_seen_never_goes():
    base = image("b", records.BASE, age=OLD * 1000)
    assert doomed(base, bounds=Bounds(older_than=timedelta(0), hidden=True)) == set()


def test_images_of_others_never_go():
    theirs = msgspec.structs.replace(image("k", age=OLD), owner="others")
    not_bakerys = Image(id="x", status="queued", owner="ours", updated_at="2000-01-01T00:00:00Z")
    assert doomed(theirs, not_bakerys) == set()


class Racing(MemoryImages):
    """Others write to the service between the looks of a prune."""

    def __init__(self, *images, meanwhile=lambda _images: None, refuse=False):
        super().__init__(*images)
        self.meanwhile = meanwhile
        self.refuse = refuse

    def all(self):
        self.meanwhile(self)
        return super().all()

    def delete(self, image_id):
        if self.refuse:
            raise CloudError("deleting: no")
        super().delete(image_id)


def test_what_is_referred_to_meanwhile_stays():
    plan = prune.find_unused(MemoryImages(image("k", age=OLD)), BOUNDS, NOW)

    def link(images):
        images.images["b"] = image("b", records.BASE, **{records.KERNEL_ID: "k"})

    images = Racing(image("k", age=OLD), meanwhile=link)
    assert prune.remove(images, plan.doomed, BOUNDS) == []
    assert "k" in images.images


def test_what_another_run_removed_meanwhile_counts_as_removed():
    plan = prune.find_unused(MemoryImages(image("k", age=OLD)), BOUNDS, NOW)
    assert prune.remove(Racing(), plan.doomed, BOUNDS) == list(plan.doomed)


def test_a_failure_says_what_was_removed_so_far():
    images = Racing(image("k", age=OLD), refuse=True)
    plan = prune.find_unused(images, BOUNDS, NOW)
    with pytest.raises(CloudError, match="deleting: no; removed so far: nothing"):
        prune.remove(images, plan.doomed, BOUNDS)


def test_bases_go_before_what_they_refer_to():
    gone = []

    class Watched(MemoryImages):
        def delete(self, image_id):
            gone.append(image_id)
            super().delete(image_id)

    base = image("b", records.BASE, status="queued", age=OLD, **{records.KERNEL_ID: "k"})
    images = Watched(image("k", age=OLD), base)
    prune.remove(images, prune.find_unused(images, BOUNDS, NOW).doomed, BOUNDS)
    assert gone == ["b", "k"]
