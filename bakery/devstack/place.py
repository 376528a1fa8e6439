"""Putting a file where a user wants it: whole or not at all, never over another's."""

from pathlib import Path

from bakery.errors import BakeryError
from bakery.workdir import write_whole

DRAFT_FOLDER = ".bakery-draft"


def put(path: Path, content: str, *, replace: bool) -> bool:
    """Write a file for its owner alone; False where it is there already with this content.

    BakeryError where another content is there and `replace` does not allow it, or the folder
    cannot be written.
    """
    try:
        if path.exists():
            if path.read_bytes() == content.encode():
                return False
            if not replace:
                raise BakeryError(
                    f"{path} is there, with other content", "--replace writes over it"
                )
        draft = path.absolute().parent / DRAFT_FOLDER
        draft.mkdir(mode=0o700, exist_ok=True)
        try:
            (draft / path.name).touch(mode=0o600)
            write_whole(path, content.encode(), draft)
        finally:
            (draft / path.name).unlink(missing_ok=True)
            draft.rmdir()
    except OSError as error:
        raise BakeryError(f"{path} cannot be written: {error.strerror}") from error
    return True
