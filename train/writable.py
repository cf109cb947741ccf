"""Whether a result can be written, asked before the work that would be lost."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from edge.errors import FileError


def require_writable(path: Path) -> None:
    """Raise FileError when a file cannot be written there, before the work that would be lost.

    Permissions do not tell: a folder may be mounted read-only, a file immutable. So it is tried.
    """
    try:
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
        os.close(handle)
        Path(name).unlink()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder has that name")
        if path.exists() and not _replaceable(path):
            raise PermissionError(errno.EPERM, "the file there is immutable")
    except OSError as error:
        raise FileError(
            f"{path}: cannot be written there ({error.strerror}): choose a folder that you may write to"
        ) from None


def _replaceable(path: Path) -> bool:
    """Whether a file may give way to another: one without permission to write may, an immutable one may not."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno != errno.EPERM
    return True
