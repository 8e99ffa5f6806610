"""A small disk of a test's own, which can be full and read-only."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of this size in a folder; it goes afterwards, whoever still uses it."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is; the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (65_536, 4096, 512):
            with contextlib.suppress(OSError):
                while file.write(bytes(block)):
                    pass
    return filler


def remount(folder: Path, how: str) -> None:
    """Make it `ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def free(folder: Path) -> int:
    """Bytes of room."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize
