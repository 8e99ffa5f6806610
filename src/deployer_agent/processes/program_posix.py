"""The program that a plan names: where it is, whether it can be executed, and what it means when it cannot."""

import os
import shutil
import stat
import sys
from typing import Final

from deployer.protocol import codes
from deployer_agent.errors import RefusedError

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

_NOT_EXECUTABLE: Final = (PermissionError, IsADirectoryError)
_HEAD: Final = 256


def locate(executable: str, search: str) -> str:
    """Return the path to give to the kernel; names without a slash are looked up in `search`, a PATH."""
    if "/" in executable:
        return executable
    found = shutil.which(executable, path=search)
    if found is None:
        raise RefusedError(codes.NOT_FOUND, f"{executable} is not an executable on the PATH")
    return found


def safe(path: str) -> str:
    """Return a path that no command takes for an option."""
    return path if path.startswith("/") else f"./{path}"


def require_directory(directory: str) -> None:
    """Tell of a missing directory before the program is looked for relative to it."""
    if not os.path.isdir(encoded(directory)):  # noqa: PTH112 (bytes, as the kernel has them)
        raise RefusedError(codes.BAD_WORKDIR, f"cannot work in {directory}: there is no such directory")


def require_texts(*texts: str) -> None:
    """Refuse what cannot be given to a program: a NUL in it, or half a character."""
    for text in texts:
        try:
            unfit = b"\0" in encoded(text)
        except UnicodeEncodeError:
            unfit = True
        if unfit:
            raise RefusedError(codes.BAD_ARGUMENTS, f"{text[:100]!r} cannot be given to a program")


def require_format(executable: str, path: str) -> None:
    """Refuse what a shell would take for a script of its own, and a script whose interpreter is missing.

    `path` is absolute. What we may not read we cannot judge: the kernel will.
    """
    head = _head(executable, encoded(path))
    if head is None or head.startswith(b"\x7fELF"):
        return
    if not head.startswith(b"#!"):
        raise RefusedError(codes.NOT_EXECUTABLE, f"{executable} cannot be executed: no program, and no #! line")
    interpreter = head[2:].split(b"\n")[0].split()
    if not interpreter or not os.path.exists(interpreter[0]):  # noqa: PTH110 (bytes)
        raise RefusedError(codes.NOT_FOUND, f"the interpreter of {executable} does not exist")


def refused(executable: str, error: OSError) -> RefusedError:
    """Translate what the kernel said when it should have started the program."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return RefusedError(codes.NOT_FOUND, f"{executable} does not exist, or its interpreter does not")
    if isinstance(error, _NOT_EXECUTABLE) or error.strerror == "Exec format error":
        return RefusedError(codes.NOT_EXECUTABLE, f"{executable} cannot be executed: {error.strerror}")
    return RefusedError(codes.SPAWN_FAILED, f"{executable} could not be started: {error.strerror}")


def encoded(text: str) -> bytes:
    """Return a text of the wire as the bytes that the kernel gets."""
    return text.encode("utf-8", "surrogateescape")


def _head(executable: str, path: bytes) -> bytes | None:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (bytes)
            raise RefusedError(codes.NOT_EXECUTABLE, f"{executable} cannot be executed: it is not a file")
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:
        return None
    except (OSError, ValueError):
        raise RefusedError(codes.NOT_FOUND, f"{executable} does not exist") from None
    try:
        return os.read(handle, _HEAD)
    finally:
        os.close(handle)
