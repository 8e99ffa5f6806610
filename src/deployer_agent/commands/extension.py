"""Commands that the agent's own file defines: `[extensions.NAME]` (PROTOCOLS 14)."""

from typing import Annotated

from msgspec import Meta, Struct

from deployer.protocol import codes, extensions
from deployer.protocol.commands import Path, Text, VariableName
from deployer.protocol.results import Result
from deployer_agent.commands.execute import Program, Runner
from deployer_agent.commands.registry import Handler, Task
from deployer_agent.errors import RefusedError


class ExtensionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command: a program, and arguments in which `{name}` stands for a value of the job."""

    cmd: Path
    args: Annotated[list[Text], Meta(max_length=1000)] = []
    workingdir: Path | None = None
    env: dict[VariableName, Text] = {}


class Extension:
    """Runs its program for a job."""

    def __init__(self, settings: ExtensionSettings, runner: Runner) -> None:
        self._settings = settings
        self._runner = runner

    async def __call__(self, task: Task) -> Result | None:
        """Run it; RefusedError when a value is missing or it cannot be started."""
        args: extensions.ExtensionArgs = task.args
        its = self._settings
        try:
            values = {"domain": args.domain, "name": args.name, **args.values}
            arguments = [extensions.fill(text, values) for text in its.args]
        except extensions.Misses as error:
            raise RefusedError(codes.BAD_ARGUMENTS, f"arguments of {task.entry.command.cmd}: {error}") from None
        return await self._runner.run(task, Program(its.cmd, arguments, args.directory or its.workingdir, its.env))


def handler(settings: ExtensionSettings, runner: Runner) -> Handler:
    """The handler of one extension."""
    return Handler(extensions.read, Extension(settings, runner))
