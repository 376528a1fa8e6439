"""Builds, machines and settings for the tests of bakery.devstack."""

import msgspec

from bakery.devstack import settings
from bakery.devstack.host import GIB, Host
from bakery.manifest import manifest
from tests.openstack.ironic.test_params import BLUEPRINT, a_manifest

LARGE = Host(64 * GIB)


def a_build(layout="pv", base_bytes=6 << 30, firmware=(), args=BLUEPRINT):
    made = a_manifest(args.split(), layout)
    artifacts = made.artifacts | {"base": manifest.Artifact(size_bytes=base_bytes, digest="d")}
    return msgspec.structs.replace(made, artifacts=artifacts, firmware=firmware)


def a_setting(build, release, **fields):
    return settings.make(build, release=release, password="secret1", **fields)


def put(folder, build):
    """The build as a folder, its files empty but there."""
    folder.mkdir(exist_ok=True)
    for artifact in build.artifacts:
        (folder / build.file(artifact)).write_bytes(b"x")
    (folder / f"{build.name}{manifest.SUFFIX}").write_bytes(manifest.encode(build))
    return folder
