"""The partitions that UEFI and boot loaders find by their type: ESP and extended boot partition."""

from collections.abc import Iterable

from bakery.disk.volumes.volumes import Survey, Volume

# UEFI, 5.3.3 (GPT) and 5.2.2 (MBR, a type in hexadecimal).
ESP_TYPES = ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "ef")
# Boot Loader Specification, "The $BOOT partition".
XBOOTLDR_TYPES = ("BC13C2FF-59E6-4262-A352-B275FD6F7172", "ea")
FAT = "vfat"


def system_partitions(survey: Survey, opened: Iterable[Volume]) -> tuple[Volume, ...]:
    """The FAT filesystems that UEFI looks into for a program, in the table's order.

    Firmware asks every FAT it can read, whatever its partition's type (UEFI, 3.5.1.1 and 13.3); an
    ESP by its type comes first.
    """
    fats = [volume for volume in opened if volume.type == FAT]
    typed = _of_type(survey, ESP_TYPES)
    return tuple(sorted(fats, key=lambda volume: volume.device not in typed))


def extended_boot(survey: Survey, opened: Iterable[Volume]) -> Volume | None:
    """The extended boot loader partition (XBOOTLDR), of which there may be one."""
    typed = _of_type(survey, XBOOTLDR_TYPES)
    return next((volume for volume in opened if volume.device in typed), None)


def is_system_partition(survey: Survey, device: str) -> bool:
    """Whether the table calls that partition an ESP."""
    return device in _of_type(survey, ESP_TYPES)


def _of_type(survey: Survey, types: tuple[str, ...]) -> set[str]:
    partitions = survey.table.partitions if survey.table else ()
    return {partition.device for partition in partitions if partition.type in types}
