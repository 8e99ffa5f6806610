"""What the processes of one task consume together, as it is told to others. Pure."""

from msgspec import Struct


class Consumption(Struct, frozen=True, kw_only=True):
    """Of all processes that belong to one key; sizes in bytes. What a system does not tell is 0.

    `cpu_s`, `read_bytes`, `write_bytes`, `net_sent` and `net_received` are sums that never go backwards while the key
    is asked for: they hold what ended processes and closed connections were last seen with. `cpu` (per cent of one
    core) and `…_per_s` are over the last `passed_s` seconds: since the sample before or, for a key that is new, since
    the oldest of its processes began. The others are as they stand; `connections` are TCP and UDP sockets, those that
    listen too.
    """

    passed_s: float = 0.0
    cpu: float = 0.0
    cpu_s: float = 0.0
    rss: int = 0
    vms: int = 0
    swap: int = 0
    threads: int = 0
    fds: int = 0
    connections: int = 0
    processes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    net_sent: int = 0
    net_received: int = 0
    read_bytes_per_s: float = 0.0
    write_bytes_per_s: float = 0.0
    net_sent_per_s: float = 0.0
    net_received_per_s: float = 0.0
