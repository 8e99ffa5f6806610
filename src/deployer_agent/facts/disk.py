"""Mounted file systems. Asking one that hangs (a network file system without its server) blocks: not in the reactor."""

from typing import Any

import psutil

from deployer_agent.facts.records import Disk


def read_disks() -> list[Disk]:
    """All mounts, virtual ones too."""
    return [_disk(mount) for mount in psutil.disk_partitions(all=True)]


def _disk(mount: Any) -> Disk:
    try:
        usage = psutil.disk_usage(mount.mountpoint)
    except OSError:
        return Disk(mount.device, mount.mountpoint, mount.fstype, mount.opts, None, None, None, None)
    return Disk(
        mount.device,
        mount.mountpoint,
        mount.fstype,
        mount.opts,
        usage.total,
        usage.used,
        usage.free,
        usage.percent,
    )
