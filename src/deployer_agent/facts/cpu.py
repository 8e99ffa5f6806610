"""Logical cpus: from /proc/cpuinfo on Linux, elsewhere what the platform and psutil tell."""

import platform
from collections.abc import Mapping
from pathlib import Path

import psutil

from deployer_agent.facts.records import Cpu

CPUINFO = Path("/proc/cpuinfo")


def read_cpus() -> list[Cpu]:
    """All logical cpus."""
    if CPUINFO.exists():
        return parse_cpuinfo(CPUINFO.read_text("utf-8", "replace"))
    return _generic()


def parse_cpuinfo(text: str) -> list[Cpu]:
    """One record for each block that names a processor."""
    blocks = [_fields(block) for block in text.split("\n\n")]
    return [_cpu(fields) for fields in blocks if fields.get("processor", "").isdigit()]


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _cpu(fields: Mapping[str, str]) -> Cpu:
    return Cpu(
        cpu=int(fields["processor"]),
        vendor_id=fields.get("vendor_id", fields.get("CPU implementer", "")),
        family=fields.get("cpu family", fields.get("CPU architecture", "")),
        model=fields.get("model", fields.get("CPU part", "")),
        stepping=_whole(fields.get("stepping")),
        physical_id=fields.get("physical id", ""),
        core_id=fields.get("core id", ""),
        cores=_whole(fields.get("cpu cores")),
        model_name=fields.get("model name", ""),
        mhz=_number(fields.get("cpu MHz")),
        cache_size=_whole(fields.get("cache size", "").partition(" ")[0]),
        flags=fields.get("flags", fields.get("Features", "")).split(),
    )


def _generic() -> list[Cpu]:
    frequency = psutil.cpu_freq()
    name, mhz = platform.processor(), frequency.current if frequency else None
    cores = psutil.cpu_count(logical=False)
    return [
        Cpu(number, "", "", "", None, "", "", cores, name, mhz, None, []) for number in range(psutil.cpu_count() or 1)
    ]


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
