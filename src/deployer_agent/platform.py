"""How this kind of system starts, finds and ends processes: chosen once, here."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from deployer_agent.errors import StartError
from deployer_agent.policy import DEFAULT_FILE, Policy
from deployer_agent.processes.plan import Ender, Footprint, Launch


class Platform(Struct, frozen=True):
    """The means of this system.

    `trace`: by what a task's run is found of which only task and number are known. `owner`: the number of the user that
    a job becomes which asks for this user, None: the agent's own. `look`: to be called every few seconds while
    processes run. `reap`: always. `close`: when all have ended.
    """

    launch: Launch
    ender: Ender
    trace: Callable[[str, int], Footprint]
    owner: Callable[[Policy, str | None], int | None]
    look: Callable[[], object]
    reap: Callable[[], object]
    close: Callable[[], object]


def load_policy(file: str | None, *, allow_root: bool) -> Policy:
    """The host's policy: of the file that is named, else of the usual one if it is there."""
    usual = Path(DEFAULT_FILE)
    path = Path(file) if file is not None else usual if usual.exists() else None
    return Policy.load(path, allow_root=allow_root)


def platform(reactor: Any, policy: Policy, instance: str) -> Platform:
    """Prepare this process and make its launcher; StartError when the policy asks for what there is not."""
    if sys.platform == "win32":
        return _plain(reactor, policy, instance)
    else:  # noqa: RET505 (a branch of its own, so that each platform's checker sees only one)
        return _posix(reactor, policy, instance)


def _plain(reactor: Any, policy: Policy, instance: str) -> Platform:
    from deployer_agent.processes.launch_any import PlainLauncher  # noqa: PLC0415 (not everywhere)

    if policy.cgroups is True:
        raise StartError("the policy asks for cgroups, which this system does not have")
    plain = PlainLauncher(reactor, policy, instance, environment=os.environ)
    return Platform(
        plain.launch,
        plain,
        lambda task, run: _trace(instance, task, run),
        lambda _, __: None,
        lambda: None,
        lambda: None,
        lambda: None,
    )


if sys.platform != "win32":
    from deployer_agent.processes import agent_posix
    from deployer_agent.processes.launch_posix import PosixLauncher, leaf
    from deployer_agent.processes.members_posix import Members
    from deployer_agent.processes.mounts_posix import find_cgroups
    from deployer_agent.processes.privileges_posix import uid_of
    from deployer_agent.processes.proc_posix import Proc
    from deployer_agent.processes.reaper_posix import reap_orphans

    def _posix(reactor: Any, policy: Policy, instance: str) -> Platform:
        agent_posix.seal_descriptors()
        agent_posix.no_core_dumps()
        agent_posix.become_subreaper()
        cgroups = find_cgroups(policy.cgroups, instance)
        members = Members(cgroups)
        environment = agent_posix.user_environment(os.environ)
        launcher = PosixLauncher(reactor, policy, cgroups, instance, environment=environment, started=members.started)

        def trace(task: str, run: int) -> Footprint:
            group = None if cgroups is None else cgroups.name(leaf(task, run))
            return _trace(instance, task, run, boot=Proc().boot(), cgroup=group)

        def close() -> None:
            reap_orphans()
            if cgroups is not None:
                cgroups.close()

        def owner(policy: Policy, user: str | None) -> int | None:
            chosen = policy.judge(user=user, group=None, limits={}, agent_uid=os.geteuid(), uid_of=uid_of).user
            return None if chosen is None else uid_of(chosen)

        return Platform(launcher.launch, members, trace, owner, members.look, reap_orphans, close)


def _trace(instance: str, task: str, run: int, *, boot: str = "", cgroup: str | None = None) -> Footprint:
    return Footprint(pid=-1, start=0, boot=boot, marker=f"{instance}:{task}:{run}", cgroup=cgroup)
