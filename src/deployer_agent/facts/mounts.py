"""Which file systems belong to what the host is, and how large they are.

Left out is what comes and goes or is not on a disk (proc, tmpfs, layers of containers), and every further place of a
device that is mounted already. Asked for their size are those alone that the kernel itself keeps on block devices of
this host, and none below one of another kind: asking a network file system whose server is away blocks for minutes, in
a thread too, and there are only so many threads.
"""

import platform
from collections.abc import Iterable
from typing import Any, Final

import psutil
from msgspec import Struct

_KEPT: Final = "bcachefs btrfs exfat ext2 ext3 ext4 f2fs hfsplus jfs msdos nilfs2 ntfs ntfs3 reiserfs ufs vfat xfs"
_AWAY: Final = "9p afs beegfs ceph cifs fuse.ceph fuse.glusterfs fuse.sshfs fuseblk glusterfs gpfs lustre nfs nfs4 smb3"
LOCAL: Final = frozenset(_KEPT.split())
_ASIDE: Final = frozenset([*_AWAY.split(), "zfs"])
"""Kept without a size: on other hosts, in programs, or (zfs) with a size that is what others leave."""


class Place(Struct, frozen=True):
    """A mounted file system that is a fact. `asked`: whether its size may be asked."""

    device: str
    mountpoint: str
    fstype: str
    asked: bool


class Sized(Struct, frozen=True):
    """The same with its size in bytes, None where that is not known."""

    device: str
    mountpoint: str
    fstype: str
    size: int | None


def read_mounts() -> list[Sized]:
    """Those of now."""
    return [Sized(one.device, one.mountpoint, one.fstype, _size(one)) for one in chosen(_mounted())]


def chosen(mounts: Iterable[tuple[str, str, str]]) -> list[Place]:
    """What is kept of devices, mountpoints and kinds in the order in which they were mounted."""
    there = {mountpoint: (device, fstype) for device, mountpoint, fstype in mounts}
    aside = [mountpoint for mountpoint, (_, fstype) in there.items() if fstype in _ASIDE or fstype.startswith("fuse")]
    kept: dict[str, Place] = {}
    for mountpoint, (device, fstype) in there.items():
        if mountpoint != "/" and fstype not in LOCAL and fstype not in _ASIDE:
            continue
        may = fstype in LOCAL or (mountpoint == "/" and fstype == "overlay")
        asked = may and not any(_is_below(mountpoint, other) for other in aside)
        kept.setdefault(device, Place(device, mountpoint, fstype, asked))
    return list(kept.values())


def _is_below(place: str, other: str) -> bool:
    return place == other or place.startswith(other.rstrip("/") + "/")


def _mounted() -> list[tuple[str, str, str]]:
    on_linux = platform.system() == "Linux"
    partitions: list[Any] = psutil.disk_partitions(all=on_linux)
    if on_linux:
        return [(one.device, one.mountpoint, one.fstype) for one in partitions]
    disks = [one for one in partitions if "cdrom" not in one.opts and "remote" not in one.opts]
    return [(one.device, one.mountpoint, one.fstype.lower()) for one in disks]


def _size(place: Place) -> int | None:
    if not place.asked:
        return None
    try:
        return int(psutil.disk_usage(place.mountpoint).total)
    except OSError:
        return None
