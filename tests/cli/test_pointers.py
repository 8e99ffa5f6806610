"""What a master points at is said in the words of the command line."""

import subprocess
import sys

import pytest

from support.cli import Cli, program_environment
from support.scripted import ScriptedMaster, refusal

RUN = ("run", "-t", "web", "--items", "-", "x")
ADD = ("schedules", "add", "Bad", "--every", "1d", "-t", "web", "x")
NAME = "Expected `str` matching regex '^[a-z0-9][a-z0-9_-]{0,62}\\\\Z'"


@pytest.mark.parametrize(
    ("command", "pointed", "said"),
    [
        (RUN, ("/target", "no agent matches"), "--target: no agent matches"),
        (RUN, ("/depends_on/0", "is not there"), "--depends-on: is not there"),
        (RUN, ("/rolling/max_failures", "no"), "--max-failures: no"),
        (RUN, ("/rolling/size", "no"), "--rolling: no"),
        (RUN, ("/requires/ram", "no"), "--requires: no"),
        (RUN, ("/batch/0", "no"), "--items: no"),
        (RUN, ("/args/max_time", "no"), "--max-time: no"),
        (RUN, ("/args/limits/nofile", "no"), "--limit: no"),
        (RUN, ("/args/args/1", "no"), "/args/args/1: no"),
        (RUN, ("/data", "no"), "--data-file: no"),
        (RUN, ("/id", "no"), "--id: no"),
        (RUN, ("/other", "no"), "/other: no"),
        (RUN, ("", "no"), "/: no"),
        (RUN, ("/priority", "Expected `int` <= 1000"), "--priority: must be at most 1000"),
        (RUN, ("/priority", "Expected `int` >= -1000"), "--priority: must be at least -1000"),
        (ADD, ("/job/target", "no agent matches"), "--target: no agent matches"),
        (ADD, ("/job/args/user", "no"), "--user: no"),
        (ADD, ("/every_s", "no"), "--every: no"),
        (ADD, ("/name", NAME), "NAME: must be 1 to 63 of small letters, digits, _ and -"),
        (("jobs",), ("/from", "no"), "--from: no"),
    ],
)
def test_a_field_is_called_as_the_option_that_fills_it(
    master: ScriptedMaster, cli: Cli, command: tuple[str, ...], pointed: tuple[str, str], said: str
) -> None:
    master.otherwise = refusal(422, "invalid", "No.", [dict(zip(("pointer", "message"), pointed, strict=True))])
    done = cli(*command, input="a\n")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"deployer: {said}")


def test_the_package_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "--help"], env=program_environment(), capture_output=True, check=True
    )
    assert b"Usage: deployer " in done.stdout
