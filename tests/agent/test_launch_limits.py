"""Jobs that want everything: contained, told of, and the agent still answers (J18)."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer_agent.policy import Policy
from support.launching import Bench, bench, eventually, sh
from tests.agent.test_launch_user import open_dir  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cgroups and other users are root's")
MB = 1024 * 1024
BOMB = "exec perl -e 'while (1) { defined(fork) or select(undef, undef, undef, 0.01) }'"
"""Who cannot fork tries again: it never ends by itself."""


@pytest.fixture(params=[False, True], ids=["proc", "cgroups"])
def here(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with bench(cgroups=request.param) as made:
        yield made


async def test_a_fork_bomb_is_bounded_and_ended(here: Bench) -> None:
    started = here.start(sh(BOMB, user="nobody", limits={"pids": 60}))
    footprint = started.process.footprint
    most = await eventually(lambda: (n := len(here.members.members(footprint))) > 20 and n, "the bomb to go off")
    assert most <= 60
    await here.end(started)
    assert here.members.members(footprint) == []


async def test_a_fork_bomb_of_root_is_bounded_by_its_cgroup_only() -> None:
    with bench(cgroups=True) as here:
        started = here.start(sh(BOMB, limits={"pids": 60}))
        footprint = started.process.footprint
        await eventually(lambda: len(here.members.members(footprint)) > 20, "the bomb to go off")
        assert len(here.members.members(footprint)) <= 60
        await here.end(started)


async def test_a_memory_hog_is_ended_by_the_kernel_and_told_of() -> None:
    with bench(cgroups=True) as here:
        started = await here.run(sh(f"exec {sys.executable} -c 'x = b\"x\" * 300_000_000'", max_memory=60 * MB))
        assert started.heard.exit == (None, 9)
        assert here.members.over_memory(started.process.footprint)
        small = await here.run(sh("true", max_memory=60 * MB, limits={"memory": 30 * MB}))
        assert not here.members.over_memory(small.process.footprint)


async def test_without_cgroups_the_limit_of_memory_is_left_to_who_looks(here: Bench) -> None:
    started = await here.run(sh("true", max_memory=60 * MB))
    assert started.process.memory_limit == (60 * MB if here.cgroups is None else 0)


async def test_address_space_descriptors_and_files_are_bounded(here: Bench, open_dir: Path) -> None:  # noqa: F811
    hog = f"exec {sys.executable} -c 'x = b\"x\" * 800_000_000'"
    assert (await here.run(sh(hog, limits={"as": 400 * MB}))).heard.exit == (1, None)
    started = await here.run(sh("ulimit -n; ulimit -Hn", user="nobody", limits={"nofile": 20}))
    assert started.heard.out.split() == ["20", "20"]
    open_dir.chmod(0o777)
    fill = "trap '' XFSZ; cat /dev/zero > hog; stat -c %s hog"
    started = await here.run(sh(fill, user="nobody", directory=str(open_dir), limits={"fsize": 10_000}))
    assert int(started.heard.out) == 10_240  # in blocks of 512


async def test_a_job_cannot_raise_its_limits(here: Bench) -> None:
    started = await here.run(sh("ulimit -n 1000 2>&1; ulimit -n", user="nobody", limits={"nofile": 20}))
    assert started.heard.out.splitlines()[-1] == "20"


async def test_a_limit_that_is_too_small_to_start_with_is_no_job_without_it(here: Bench, open_dir: Path) -> None:  # noqa: F811
    open_dir.chmod(0o777)
    for number, limits in enumerate(({"nofile": 3}, {"as": 100_000}, {"nofile": 0})):
        started = await here.run(sh(f"echo > {open_dir}/ran", user="nobody", limits=limits, run=number))
        assert started.process.refusal is not None or started.heard.exit != (0, None)
    assert not (open_dir / "ran").exists()


async def test_core_files_are_off_by_default(here: Bench) -> None:
    assert (await here.run(sh("ulimit -c", user="nobody"))).heard.out.strip() == "0"


async def test_a_cgroup_that_cannot_be_made_is_an_error() -> None:
    with bench(cgroups=True) as here:
        started = here.start(sh("echo 1; sleep 1000", task="same"))
        await eventually(lambda: started.heard.out, "its start")
        with pytest.raises(Exception, match="cgroup") as caught:
            here.start(sh("true", task="same"))
        assert getattr(caught.value, "code", "") == "LIMITS"
        assert here.members.members(started.process.footprint)


async def test_the_policys_limits_apply_to_jobs_that_name_none() -> None:
    with bench(Policy(allow_root=True, limits={"nofile": 77}), cgroups=True) as here:
        assert (await here.run(sh("ulimit -n"))).heard.out.strip() == "77"
        started = here.start(sh("echo 1; sleep 1000"))
        name = started.process.footprint.cgroup
        assert here.cgroups is not None
        assert name is not None
        assert (here.cgroups.base.pids / name / "pids.max").read_text().strip() == "4096"


async def test_output_without_end_is_read_until_it_is_killed(here: Bench) -> None:
    started = here.start(sh("exec cat /dev/zero", user="nobody"))
    await eventually(lambda: len(started.heard.streams[1]) > MB, "output")
    await here.end(started)
    await started.heard.ended
    assert started.heard.exit == (None, 9)
