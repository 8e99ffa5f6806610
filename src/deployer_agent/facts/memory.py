"""Memory and swap of the host."""

import psutil

from deployer_agent.facts.records import Memory


def read_memory() -> Memory:
    """As they stand."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return Memory(
        total=memory.total,
        available=memory.available,
        used=memory.used,
        used_percent=memory.percent,
        free=memory.free,
        active=getattr(memory, "active", None),
        inactive=getattr(memory, "inactive", None),
        buffers=getattr(memory, "buffers", None),
        cached=getattr(memory, "cached", None),
        wired=getattr(memory, "wired", None),
        shared=getattr(memory, "shared", None),
        swap_total=swap.total,
        swap_used=swap.used,
        swap_free=swap.free,
    )
