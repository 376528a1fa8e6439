"""Where a build is published, and as what: the options of `bakery upload` as one record."""

from typing import Literal

import msgspec

from bakery.cloud import pieces, rbd
from bakery.cloud.pieces import Shape, Visibility, Wish
from bakery.errors import UsageError
from bakery.manifest import Layout


class Target(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"shape": "as"},
):
    """One image to be in one cloud; None and empty mean what `bakery upload` does by itself."""

    cloud: str | None = None
    shape: Shape | None = None
    name: str = ""
    visibility: Visibility | None = None
    properties: dict[str, str] = {}
    disk_format: Literal["", "raw", "qcow2"] = ""
    compress: bool = False
    replace: bool = False
    store: str = ""

    def wish(self) -> Wish:
        """What the base becomes. UsageError where a store is to hold what it cannot."""
        if self.store and (self.disk_format == "qcow2" or self.compress):
            raise UsageError(
                "--store writes raw: --disk-format qcow2 and --compress do not go with it"
            )
        return Wish(
            shape=self.shape,
            name=self.name,
            disk_format="raw" if self.store else self.disk_format,
            compress=self.compress,
            properties=self.properties,
        )

    def rbd(self) -> rbd.RbdStore | None:
        """The store, where one is named. Raises UsageError."""
        return rbd.parse(self.store) if self.store else None

    def check(self, layout: Layout | None) -> None:
        """BakeryError where a build of this layout (None: not known yet) cannot become that."""
        shape = self.shape or ("whole-disk" if layout == "disk" else "ami")
        wish = self.wish()
        if self.shape or layout:
            pieces.formats(wish, shape)
        if layout:
            pieces.refuse_shape(layout, shape)
