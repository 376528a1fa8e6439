from bakery.samples.disk_layout import layout_of
from bakery.samples.lvm import EXTENT_BYTES, PE_START_BYTES, segments_in_disk
from bakery.samples.variants import find


def test_segments_lie_behind_the_metadata_in_the_volumes_own_order():
    variant = find("split-lv")
    assert variant.lvm is not None
    pv = layout_of(variant).of("pv")
    (first, first_length), (second, second_length) = segments_in_disk(pv, variant.lvm)
    assert first == pv.start + PE_START_BYTES
    assert first_length == 300 * EXTENT_BYTES
    assert second == first + 400 * EXTENT_BYTES
    assert second + second_length <= pv.start + pv.size
