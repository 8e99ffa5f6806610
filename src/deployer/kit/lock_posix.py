"""A lock that ends with its holder, however it ends."""

import fcntl
import os
from pathlib import Path


def open_lock(path: Path) -> int:
    """Open (or make) a lock file, 0600, not inherited; its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int) -> bool:
    """Take the lock without waiting; False while another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
