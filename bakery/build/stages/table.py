"""The stages of a build, in their order; those that make another image come first."""

from bakery.build.stages import base, boot, edit, files, inspect, pack, sbom, scrub
from bakery.build.stages.stage import AnyStage

STAGES: tuple[AnyStage, ...] = (
    scrub.STAGE,
    files.STAGE,
    inspect.STAGE,
    boot.STAGE,
    sbom.STAGE,
    edit.STAGE,
    base.STAGE,
    pack.STAGE,
)
