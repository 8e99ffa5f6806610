"""How this kind of system starts and ends processes: chosen once, in assembly."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from twisted.internet.protocol import ProcessProtocol

from deployer.protocol.commands import ExecuteArgs
from deployer_agent.processes import launch_posix, session_posix
from deployer_agent.processes.manager import Platform

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to skip this module there)


def platform_for(reactor: Any, agentroot: str, *, allow_root: bool) -> Platform:
    """Linux and other POSIX systems."""
    places = launch_posix.Places(agentroot)

    launch_posix.seal_descriptors()
    base = launch_posix.base_environment(os.environ)

    def launch(protocol: ProcessProtocol, args: ExecuteArgs, identity: Mapping[str, str]) -> int:
        launch_posix.refuse_root(allowed=allow_root)
        directory = args.directory
        program = launch_posix.Program(
            executable=places.fill(args.executable),
            arguments=args.args,
            environment={**base, **args.env, **identity},
            directory=None if directory is None else places.fill(directory),
        )
        return launch_posix.launch(reactor, protocol, program)

    return Platform(launch=launch, terminate=session_posix.terminate, kill=session_posix.kill)
