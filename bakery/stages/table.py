"""The stages of a build, in their order."""

from bakery.stages import base, boot, check, edit, files, inspect, pack, sbom, scrub

STAGES = (check.STAGE, inspect.STAGE, boot.STAGE, sbom.STAGE, edit.STAGE, base.STAGE, pack.STAGE)
REMAKING = (scrub.STAGE, files.STAGE)
"""Those that come first, and make another image of the one they are given."""
