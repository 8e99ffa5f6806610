"""`get_cpu_info`, `get_mem_info`, `get_disk_info`, `get_nic_info`, `get_os_info`: what the host is, as a JSON result.

They are asked in a thread, since a file system can hang.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.threads import Threads
from deployer.protocol.commands import NoArgs
from deployer.protocol.levels import RESULT_JSON
from deployer.protocol.results import Result
from deployer_agent.commands.registry import Handler, Task, of
from deployer_agent.facts.cpu import read_cpus
from deployer_agent.facts.disk import read_disks
from deployer_agent.facts.memory import read_memory
from deployer_agent.facts.nic import read_nics
from deployer_agent.facts.system import read_system

READERS: Final[Mapping[str, Callable[[], object]]] = MappingProxyType(
    {
        "get_cpu_info": read_cpus,
        "get_mem_info": read_memory,
        "get_disk_info": read_disks,
        "get_nic_info": read_nics,
        "get_os_info": read_system,
    }
)

_encode = msgspec.json.Encoder().encode


class Fact:
    """One of them."""

    def __init__(self, reader: Callable[[], object], reactor: Any, wall: WallClock) -> None:
        self._reader = reader
        self._reactor = reactor
        self._wall = wall

    async def __call__(self, task: Task) -> Result:
        """Ask and answer."""
        begun, begun_s = epoch_ms(self._wall), self._reactor.seconds()
        facts = await Threads(self._reactor).run(self._reader)
        return Result(
            id=task.id,
            run=task.entry.command.run,
            state="OK",
            data=_encode(facts).decode(),
            level=RESULT_JSON,
            starttime=begun,
            time=int((self._reactor.seconds() - begun_s) * 1000),
        )


def handlers(reactor: Any, wall: WallClock) -> dict[str, Handler]:
    """The handlers of all."""
    return {name: Handler(of(NoArgs), Fact(reader, reactor, wall)) for name, reader in READERS.items()}
