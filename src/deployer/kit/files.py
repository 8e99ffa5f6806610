"""Files that are nobody else's business: directories 0700, files 0600, written whole or not at all."""

import os
import stat
import tempfile
from pathlib import Path


class TooOpen(Exception):  # noqa: N818 (it says what it is)
    """A secret that others can read."""


def private_dir(path: Path) -> Path:
    """Make a directory 0700 (also one that exists and is ours)."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write a file 0600 so that after a crash it is there whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_dir(path.parent)


def sync_dir(path: Path) -> None:
    """Make a rename in this directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_private(path: Path) -> bytes:
    """Read a secret; TooOpen when group or others may read or write it."""
    with path.open("rb") as file:
        _require_private(path, os.fstat(file.fileno()))
        return file.read()


def _require_private(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 and os.name == "posix":
        raise TooOpen(f"{path} has mode {mode:04o}, so others can use it: chmod 600 {path}")
