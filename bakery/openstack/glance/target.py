"""Where a build is published, and as what: the options of `bakery upload` as one record."""

import msgspec

from bakery.host.errors import UsageError
from bakery.manifest.manifest import Layout
from bakery.openstack.glance import pieces, rbd
from bakery.openstack.glance.pieces import PublishOptions, Shape, Visibility


class Target(
    PublishOptions,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"shape": "as"},
):
    """One image to be in one cloud; None and empty mean what `bakery upload` does by itself."""

    cloud: str | None = None
    shape: Shape | None = None  # again, as only a class's own fields get their other names
    visibility: Visibility | None = None
    replace: bool = False
    store: str = ""

    def options(self) -> PublishOptions:
        """What the base becomes. UsageError where a store is to hold what it cannot."""
        if self.store and (self.disk_format == "qcow2" or self.compress):
            raise UsageError(
                "--store writes raw: --disk-format qcow2 and --compress do not go with it"
            )
        return msgspec.structs.replace(self, disk_format="raw") if self.store else self

    def rbd(self) -> rbd.RbdStore | None:
        """The store, where one is named. Raises UsageError."""
        return rbd.parse(self.store) if self.store else None

    def check(self, layout: Layout | None) -> None:
        """BakeryError where a build of this layout (None: not known yet) cannot become that."""
        shape = self.shape or ("whole-disk" if layout == "disk" else "ami")
        options = self.options()
        if self.shape or layout:
            pieces.formats(options, shape)
        if layout:
            pieces.refuse_shape(layout, shape)
