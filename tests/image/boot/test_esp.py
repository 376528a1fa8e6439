"""Which partitions UEFI looks into, and which boot loaders find by their type."""

import msgspec

from bakery.image.boot import esp
from tests.image.boot.machines import BOOT, ESP, EXTENDED, PARTITIONS, ROOT, machine

FILES = {volume: {"a": ""} for volume in (BOOT, EXTENDED, ESP, ROOT)}


def test_an_esp_by_its_type_comes_before_other_fats():
    survey = machine(FILES).survey
    assert esp.system_partitions(survey, survey.volumes) == (ESP, EXTENDED)
    assert esp.is_system_partition(survey, ESP.device)
    assert not esp.is_system_partition(survey, EXTENDED.device)


def test_the_extended_partition_is_found_by_its_type_alone():
    survey = machine(FILES).survey
    assert esp.extended_boot(survey, survey.volumes) == EXTENDED
    assert esp.extended_boot(survey, (ESP, BOOT)) is None


def test_an_mbr_has_types_of_its_own():
    types = {1: "ef", 4: "ea"}
    partitions = [msgspec.structs.replace(p, type=types.get(p.number, "83")) for p in PARTITIONS]
    survey = machine(FILES, partitions=tuple(partitions), label="dos").survey
    assert esp.system_partitions(survey, survey.volumes) == (ESP, EXTENDED)
    assert esp.extended_boot(survey, survey.volumes) == EXTENDED


def test_without_a_table_a_fat_is_one_all_the_same():
    survey = msgspec.structs.replace(machine(FILES).survey, table=None)
    assert esp.system_partitions(survey, (BOOT, ESP)) == (ESP,)
    assert esp.extended_boot(survey, (ESP,)) is None
