"""What a plan becomes on this host: decided before anything is made, by the policy and the user database."""

import os
import resource
import sys
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from deployer.protocol import codes
from deployer_agent.errors import RefusedError
from deployer_agent.policy import DEFAULT_PIDS, Decision, Policy
from deployer_agent.processes import limits, privileges_posix, program_posix, wrapper_posix
from deployer_agent.processes.environment import child_environment
from deployer_agent.processes.plan import Plan

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)


class Surroundings(Struct, frozen=True, kw_only=True):
    """What decides besides the plan. `environment`, `uid` and `umask` are the agent's own, `instance` 32 hex digits."""

    policy: Policy
    environment: Mapping[str, str]
    instance: str
    uid: int
    umask: int
    cgroups: bool


class Start(Struct, frozen=True, kw_only=True):
    """What is going to be done. `target` None: stay who we are. `path` may be relative to the directory, `full` not.

    `plain`: no stage has to go before it, cgroups apart.
    """

    plan: Plan
    path: str
    full: str
    directories: tuple[str, str]
    environment: Mapping[str, str]
    target: privileges_posix.Identity | None
    ulimits: list[str]
    group_limits: Mapping[str, int]
    marker: str
    plain: bool


def prepare(plan: Plan, here: Surroundings) -> Start:
    """Decide everything; RefusedError."""
    program_posix.require_texts(plan.executable, plan.directory or "", *plan.arguments, *plan.environment.values())
    decision = here.policy.judge(
        user=plan.user, group=plan.group, limits=plan.limits, agent_uid=here.uid, uid_of=privileges_posix.uid_of
    )
    here.policy.require_environment(plan.asked)
    target = _target(decision, here.uid)
    marker = f"{here.instance}:{plan.task}:{plan.run}"
    user = {} if target is None else target.environment
    environment = child_environment(here.environment, plan.environment, {wrapper_posix.RUN: marker}, user)
    directories = _directories(plan.directory, target)
    if target is None:
        program_posix.require_directory(directories[0])
    path = program_posix.locate(plan.executable, environment["PATH"])
    full = os.path.join(os.getcwd(), directories[0], path)  # noqa: PTH109, PTH118 (nothing is to be normalised)
    allowed = here.policy.require_executable(full)
    if allowed != full:
        path = full = allowed
        plan = msgspec.structs.replace(plan, executable=allowed)
    ulimits = limits.options(_own_limits(decision, here, target))
    return Start(
        plan=plan,
        path=path,
        full=full,
        directories=directories,
        environment=environment,
        target=target,
        ulimits=ulimits,
        group_limits=_group_limits(plan, decision),
        marker=marker,
        plain=target is None and not ulimits and plan.umask == here.umask,
    )


def _target(decision: Decision, own: int) -> privileges_posix.Identity | None:
    """Whom to become; None to stay who we are."""
    if decision.user is None and decision.group is None:
        return None
    target = privileges_posix.identity(decision.user, decision.group, own)
    if target.uid == own and decision.group is None:
        return None
    if own != 0:
        raise RefusedError(
            codes.PRIVILEGES, f"the agent is not root, so it cannot run jobs as {decision.user or decision.group}"
        )
    return target


def _own_limits(decision: Decision, here: Surroundings, target: privileges_posix.Identity | None) -> dict[str, int]:
    """The limits of each process. Without cgroups, `pids` bounds all processes of a user that is not root."""
    found = {name: value for name, value in decision.limits.items() if name in limits.RESOURCES}
    pids = decision.limits.get("pids")
    if pids is not None and not here.cgroups and (here.uid if target is None else target.uid) != 0:
        found["nproc"] = min(pids, found.get("nproc", pids))
    if found.get("core") == 0 == resource.getrlimit(resource.RLIMIT_CORE)[0]:
        del found["core"]  # inherited
    return found


def _group_limits(plan: Plan, decision: Decision) -> dict[str, int]:
    found = {"pids": decision.limits.get("pids", DEFAULT_PIDS)}
    memory = [size for size in (plan.max_memory, decision.limits.get("memory", 0)) if size > 0]
    return found | ({"memory": min(memory)} if memory else {})


def _directories(given: str | None, target: privileges_posix.Identity | None) -> tuple[str, str]:
    """Where to go, and where when that fails: only another user's home may be missing."""
    if given is not None:
        if not given.startswith("/"):
            raise RefusedError(codes.BAD_WORKDIR, f"cannot work in {given}: it must begin with /")
        return given, given
    if target is None:
        return "./", "./"
    return (target.home if target.home.startswith("/") else "/"), "/"
