"""`execute`: one program with its arguments, literally, without a shell (J4)."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from deployer.protocol.commands import ExecuteArgs
from deployer.protocol.results import Result
from deployer_agent.commands.outcome import of_process
from deployer_agent.journal.records import Entry
from deployer_agent.outbox.messages import Source
from deployer_agent.processes.environment import child_environment, fill
from deployer_agent.processes.output import Output
from deployer_agent.processes.plan import Emit, Ended, Plan


class Surroundings(Struct, frozen=True):
    """What every process is given: the agent's environment to choose from, and what `$agentroot` and others mean."""

    environment: Mapping[str, str]
    places: Mapping[str, str]


class Execute:
    """Runs a program and tells how it ended."""

    def __init__(
        self,
        run: Callable[[Plan, Emit], Coroutine[Deferred[Any], Any, Ended]],
        emit: Callable[[Source, Output], None],
        surroundings: Surroundings,
    ) -> None:
        self._run = run
        self._emit = emit
        self._surroundings = surroundings

    async def __call__(self, entry: Entry, args: ExecuteArgs) -> Result:
        """Run it; RefusedError when it cannot be started."""
        source = Source(entry.command.id, args.domain, args.name)
        ended = await self._run(self._plan(entry, args), partial(self._emit, source))
        return of_process(entry.key, ended)

    def _plan(self, entry: Entry, args: ExecuteArgs) -> Plan:
        places = self._surroundings.places
        return Plan(
            task=entry.command.id,
            executable=fill(args.executable, places),
            arguments=args.args,
            environment=child_environment(self._surroundings.environment, args.env, _own(entry)),
            directory=None if args.directory is None else fill(args.directory, places),
            data=entry.data,
            max_time=args.max_time,
            grace=args.grace,
        )


def _own(entry: Entry) -> dict[str, str]:
    command = entry.command
    return {"DEPLOYER_JOB": command.id, "DEPLOYER_GID": str(command.gid), "DEPLOYER_NID": str(command.nid)}
