"""The operating system and how long it has been up."""

import platform
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from deployer_agent.facts.records import System

_CONTAINERS = {"docker": Path("/.dockerenv"), "podman": Path("/run/.containerenv")}
_PRODUCT = Path("/sys/class/dmi/id/product_name")
_MACHINES = ("KVM", "VMware", "VirtualBox", "QEMU", "Bochs", "Xen", "Virtual Machine")


def read_system() -> System:
    """As it stands."""
    release = _release()
    boot = int(psutil.boot_time())
    virtual, role = _virtualization()
    return System(
        hostname=socket.gethostname(),
        os=platform.system().lower(),
        platform=release.get("ID", platform.system().lower()),
        platform_family=release.get("ID_LIKE", release.get("ID", "")).partition(" ")[0],
        platform_version=release.get("VERSION_ID", platform.version()),
        kernel=platform.release(),
        architecture=platform.machine(),
        python=platform.python_version(),
        uptime=max(0, int(time.time()) - boot),
        boot_time=boot,
        procs=len(psutil.pids()),
        virtualization_system=virtual,
        virtualization_role=role,
    )


def _release() -> Mapping[str, str]:
    """What os-release(5) says; nothing on systems without it."""
    with suppress(OSError):
        return platform.freedesktop_os_release()
    return {}


def _virtualization() -> tuple[str, str]:
    """What this host runs in, and that it is the guest; empty when nothing tells."""
    for name, mark in _CONTAINERS.items():
        if mark.exists():
            return name, "guest"
    with suppress(OSError):
        product = _PRODUCT.read_text()
        for machine in _MACHINES:
            if machine in product:
                return machine.lower().replace(" ", "-"), "guest"
    return "", ""
