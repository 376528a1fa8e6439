"""Whether the files of a build are still those that its manifest describes."""

from collections.abc import Iterable
from pathlib import Path

from bakery.disk import digest
from bakery.disk.formats import safety
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool
from bakery.host.workdir import Stamp
from bakery.openstack.glance.pieces import Piece

AGAIN = "build it again, or bring back the file that was changed"


def verified(pieces: Iterable[Piece]) -> dict[Path, Stamp]:
    """Compare each file with its size and digest; the stamps they had before they were read.

    Raises BakeryError for one that differs or cannot be read.
    """
    wanted = list(pieces)
    with Pool(len(wanted)) as pool:
        return dict(zip((p.file for p in wanted), pool.map(_verified, wanted), strict=True))


def safe(base: Piece) -> None:
    """Refuse what `bakery check` refuses. Raises BakeryError with its finding."""
    refusals = safety.check(base.file).refusals
    if refusals:
        first = refusals[0]
        raise BakeryError(f"{base.file.name} is refused: {first.message}", first.hint)


def still(file: Path, stamp: Stamp) -> bool:
    """Whether nothing was written to the file since."""
    try:
        return Stamp.of(file) == stamp
    except OSError:
        return False


def _verified(piece: Piece) -> Stamp:
    try:
        stamp = Stamp.of(piece.file)
        same = stamp.size_bytes == piece.size_bytes and digest.matches(piece.file, piece.digest)
    except OSError as error:
        raise BakeryError(f"{piece.file} cannot be read: {error.strerror}", AGAIN) from error
    if not same or not still(piece.file, stamp):
        raise BakeryError(
            f"{piece.file} is not what its manifest describes: it was changed since the build; "
            "nothing was sent",
            AGAIN,
        )
    return stamp
