"""Files that are nobody else's business: directories 0700, files 0600, written whole or not at all."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable
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


def read_private(path: Path, *, follow: bool = True) -> bytes:
    """Read a secret; TooOpen when group or others may read or write it, or it is not ours.

    `follow`: a symbolic link is read too, as programs make them that renew certificates; where it points to counts.
    """
    if not follow and path.is_symlink():
        raise TooOpen(f"{path} is a symbolic link: put the file itself there")
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        _require_owned(path, found)
        _require_mode(path, found, 0o077, "use", "600")
        return file.read()


def read_ours(path: Path, *, secret: Callable[[bytes], bool] = lambda _: False) -> bytes:
    """Read what decides what we do; TooOpen when somebody besides root and our own user could write it.

    `secret`: whether what is in it must not be read by others either.
    """
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        _require_owned(path, found)
        _require_mode(path, found, 0o022, "write", "go-w")
        content = file.read()
        if secret(content):
            _require_mode(path, found, 0o044, "read the password in", "600")
        return content


def _require_owned(path: Path, found: os.stat_result) -> None:
    if sys.platform != "win32" and found.st_uid not in {0, os.geteuid()}:
        raise TooOpen(f"{path} belongs to user {found.st_uid}: chown root {path}")


def _require_mode(path: Path, found: os.stat_result, forbidden: int, can: str, cure: str) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden and os.name == "posix":
        raise TooOpen(f"{path} has mode {mode:04o}, so others can {can} it: chmod {cure} {path}")
