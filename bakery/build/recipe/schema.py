"""What may stand in a recipe: its tables and keys, each with its type (docs/recipe.md)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bakery.image.engines.choose import EngineOption
from bakery.manifest.manifest import Layout, SbomForm
from bakery.openstack.glance.target import Target


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The image a build starts from. `image` is relative to the recipe's folder, or absolute."""

    image: str
    sha256: str = ""


class Scrub(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bakery scrub` takes: its options of these names."""

    rules: str | None = None
    recovery: str | None = None
    public_key: str | None = None
    leave_unsearched: tuple[str, ...] = ()


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that is put into the image: `source` is relative to the recipe's folder, `mode` octal
    digits, `owner` and `group` numbers."""

    source: str
    path: str
    mode: str = "0644"
    owner: Annotated[int, Meta(ge=0)] = 0
    group: Annotated[int, Meta(ge=0)] = 0


class KernelArgs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `--karg-append` and `--karg-delete` take."""

    append: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole recipe; what is left out is as `bakery build` has it without the option."""

    source: Source
    name: str | None = None
    output: str | None = None
    layout: Layout | None = None
    deployment: Annotated[int, Meta(ge=0)] | None = None
    engine: EngineOption = "auto"
    without: tuple[str, ...] = ()
    compress: Literal["zstd"] | None = None
    sbom: tuple[SbomForm, ...] = ()
    base_sha256: bool = False
    scrub: Scrub | None = None
    files: tuple[File, ...] = ()
    kernel_args: KernelArgs = KernelArgs()
    publish: tuple[Target, ...] = ()
