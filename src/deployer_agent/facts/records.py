"""The answers of the fact commands. Sizes in bytes, times in seconds; None where the system does not tell."""

from msgspec import Struct


class Cpu(Struct, frozen=True):
    """One logical cpu. `cores`: of the physical cpu that it belongs to; `cache_size` in kB."""

    cpu: int
    vendor_id: str
    family: str
    model: str
    stepping: int | None
    physical_id: str
    core_id: str
    cores: int | None
    model_name: str
    mhz: float | None
    cache_size: int | None
    flags: list[str]


class Memory(Struct, frozen=True):
    """The host's memory. `used_percent` of `total`; `swap_…` of its swap."""

    total: int
    available: int
    used: int
    used_percent: float
    free: int
    active: int | None
    inactive: int | None
    buffers: int | None
    cached: int | None
    wired: int | None
    shared: int | None
    swap_total: int
    swap_used: int
    swap_free: int


class Disk(Struct, frozen=True):
    """A file system that is mounted; None for what cannot be asked (no medium, no permission)."""

    device: str
    mountpoint: str
    fstype: str
    opts: str
    total: int | None
    used: int | None
    free: int | None
    used_percent: float | None


class Address(Struct, frozen=True):
    """One address of an interface; `addr` with the length of its network."""

    addr: str


class Nic(Struct, frozen=True):
    """A network interface. `speed` in Mbit/s, None when the system does not tell."""

    name: str
    hardwareaddr: str
    mtu: int
    flags: list[str]
    speed: int | None
    addrs: list[Address]


class System(Struct, frozen=True):
    """The operating system. `boot_time`: epoch seconds; `procs`: how many processes there are."""

    hostname: str
    os: str
    platform: str
    platform_family: str
    platform_version: str
    kernel: str
    architecture: str
    python: str
    uptime: int
    boot_time: int
    procs: int
    virtualization_system: str = ""
    virtualization_role: str = ""
