"""The stages of a build, in their order."""

from bakery.stages import base, boot, check, edit, inspect, pack, sbom

STAGES = (check.STAGE, inspect.STAGE, boot.STAGE, sbom.STAGE, edit.STAGE, base.STAGE, pack.STAGE)
