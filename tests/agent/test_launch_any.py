"""The launcher for systems without sessions, on this one."""

import os

import pytest
from twisted.internet import reactor  # noqa: TID251 (real processes)

from deployer_agent.errors import RefusedError
from deployer_agent.policy import Policy
from deployer_agent.processes.launch_any import PlainLauncher
from deployer_agent.processes.plan import Plan
from support.launching import Heard

BASE = {"PATH": os.environ["PATH"], "SECRET": "s"}


def launcher(policy: Policy | None = None) -> PlainLauncher:
    return PlainLauncher(reactor, policy or Policy(), "i", environment=BASE)


async def test_a_program_reads_its_data_and_has_a_clean_environment() -> None:
    heard, here = Heard(), launcher()
    plan = Plan(task="t", executable="sh", arguments=["-c", "cat; echo $SECRET$DEPLOYER_RUN$A"], data="in\n")
    process = here.launch(plan, heard)
    process.feed(b"in\n")
    await heard.ended
    assert heard.out == "in\ni:t:1\n"
    assert here.members(process.footprint) == []


async def test_a_process_is_ended_and_forgotten() -> None:
    heard, here = Heard(), launcher()
    footprint = here.launch(Plan(task="t", executable="sleep", arguments=["1000"]), heard).footprint
    assert here.members(footprint) == [footprint.pid]
    assert here.signal(footprint, 9) == 1
    await heard.ended
    assert heard.exit == (None, 9)
    here.forget(footprint)
    assert (here.signal(footprint, 9), here.memory(footprint), here.over_memory(footprint)) == (0, 0, False)


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"executable": "no-such-program"}, "NOT_FOUND"),
        ({"user": "web"}, "PRIVILEGES"),
        ({"user": "other"}, "NOT_ALLOWED"),
        ({"limits": {"nofile": 5}}, "LIMITS"),
        ({"executable": "sleep"}, "NOT_ALLOWED"),
    ],
)
def test_what_cannot_be_had_is_refused(plan: dict[str, object], code: str) -> None:
    policy = Policy(users=("web",), executables=("*/true",))
    with pytest.raises(RefusedError) as caught:
        launcher(policy).launch(Plan(**{"task": "t", "executable": "true", **plan}), Heard())
    assert caught.value.code == code
