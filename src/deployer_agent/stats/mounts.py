"""Which of the mounted file systems are asked for their sizes: those on devices of this host. Pure.

Asking a network file system whose server is away blocks for minutes, in a thread too (and there are only so many
threads), as does one in user space (FUSE) whose program hangs. So nothing is asked but file systems that the kernel
itself keeps on block devices, and none that is mounted below one of another kind, since already the way there would
block. `/` of a container (overlay) is asked too.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

_KEPT: Final = "bcachefs btrfs exfat ext2 ext3 ext4 f2fs hfsplus jfs msdos nilfs2 ntfs ntfs3 reiserfs ufs vfat xfs zfs"
_VIRTUAL: Final = (
    "cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs hugetlbfs iso9660 mqueue overlay proc pstore ramfs rootfs"
    " securityfs squashfs sysfs tmpfs tracefs udf"
)
LOCAL: Final = frozenset(_KEPT.split())
"""Kinds that the kernel keeps on block devices of this host."""

_STILL: Final = LOCAL | frozenset(_VIRTUAL.split())
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True):
    """A line of /proc/mounts."""

    device: str
    mountpoint: str
    fstype: str


def parse_mounts(text: str) -> list[Mount]:
    """All of them; of two at one place the later, which covers the other."""
    rows = [line.split() for line in text.splitlines()]
    found = [Mount(*map(_plain, row[:3])) for row in rows if len(row) > 3]  # noqa: PLR2004 (device, place, type, options)
    return list({mount.mountpoint: mount for mount in found}.values())


def askable(mounts: Iterable[Mount]) -> list[Mount]:
    """Those to ask: each device once, where it was mounted first (the others are parts of it, mounted again)."""
    mounts = list(mounts)
    restless = [mount.mountpoint for mount in mounts if mount.fstype not in _STILL]
    chosen: dict[str, Mount] = {}
    for mount in mounts:
        local = mount.fstype in LOCAL or (mount.fstype == "overlay" and mount.mountpoint == "/")
        if local and not any(_below(mount.mountpoint, other) for other in restless):
            chosen.setdefault(mount.device, mount)
    return list(chosen.values())


def _below(place: str, other: str) -> bool:
    return place == other or place.startswith(other.rstrip("/") + "/")


def _plain(field: str) -> str:
    """Blanks and the like are written as octal numbers."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)
