"""What sqlite would not tell of a damaged journal: it begins anew in an empty file, and passes over a broken WAL.

Both would forget tasks that ran, so that they could run twice; both are looked for before sqlite touches the files.
"""

import os
import stat
import struct
from pathlib import Path
from typing import Final

from deployer_agent.errors import JournalError

_MAGIC: Final = b"SQLite format 3\0"
_WAL_HEADER: Final = 32
_WAL_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_WORD: Final = 2**32


def damage(path: Path) -> str | None:
    """Say what is wrong with the journal's files, if anything can be seen from outside."""
    with path.open("rb") as file:
        begin = file.read(len(_MAGIC))
    if begin != _MAGIC:
        return "cannot be used (it is not a database)" if begin.strip(b"\0") else "has lost its contents"
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and not _is_wal(wal):
        return f"is damaged ({wal.name} is not what was written)"
    return None


def require_private(path: Path) -> None:
    """JournalError when others may read or write the journal."""
    for part in (path, path.with_name(path.name + "-wal")):
        if os.name == "posix" and part.exists():
            mode = stat.S_IMODE(part.stat().st_mode)
            if mode & 0o077:
                raise JournalError(f"the journal {part} has mode {mode:04o}, so others can use it: chmod 600 {part}")


def require_writable(path: Path) -> None:
    """JournalError when the journal cannot be written where it is."""
    try:
        with path.open("r+b"):
            return
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be written ({error.strerror}): make it writable") from error


def _is_wal(path: Path) -> bool:
    """Tell whether a WAL is empty or begins with a sound header (www.sqlite.org/fileformat.html, 4.1)."""
    with path.open("rb") as file:
        header = file.read(_WAL_HEADER)
    if not header:
        return True
    order = _WAL_MAGIC.get(int.from_bytes(header[:4], "big"))
    if len(header) < _WAL_HEADER or order is None:
        return False
    return _check_sum(struct.unpack(f"{order}6I", header[:24])) == struct.unpack(">2I", header[24:])


def _check_sum(words: tuple[int, ...]) -> tuple[int, int]:
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) % _WORD
        second = (second + other + first) % _WORD
    return first, second
