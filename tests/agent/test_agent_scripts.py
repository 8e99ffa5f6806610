"""What scripts are given, and how they are found: without a master."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from deployer.protocol import codes
from deployer.protocol.scripts import ScriptArgs, digest
from deployer_agent.commands import script
from deployer_agent.errors import LinkError, RefusedError

HELPERS = script.HELPERS
LUA = """
local script = require('deployer_script')
script.log(5, ':::'); script.log(3, 'a\\n:::\\nb'); script.stat('k', 1.5, 'g')
script.result({ text = script.data(), first = arg[1], inf = 1 / 0, tab = 'a\\tb', none = {} })
"""


def lua_programs() -> list[list[str]]:
    return [["lua5.4"], [sys.executable, "-m", "deployer_agent.luachild"]]


@pytest.mark.parametrize("program", lua_programs())
def test_lua_says_gives_and_counts_under_either_interpreter(tmp_path: Path, program: list[str]) -> None:
    file = tmp_path / "s.lua"
    file.write_text(LUA)
    environment = {**os.environ, "LUA_PATH": f"{HELPERS / 'lua'}/?.lua;;", "PYTHONPATH": str(HELPERS.parent)}
    done = subprocess.run(
        [*program, str(file), "x"], input="given", env=environment, capture_output=True, text=True, check=True
    )
    *said, result = done.stdout.splitlines()
    assert said == ["5:::", " :::", ":::", "3:::", "a", " :::", "b", ":::", "10::k:1.5|g"]
    level, _, text = result.partition("::")
    assert (level, json.loads(text)) == (
        "20",
        {"text": "given", "first": "x", "inf": None, "tab": "a\tb", "none": {}},
    )


@pytest.mark.parametrize("program", lua_programs())
def test_lua_that_fails_says_so_and_ends_with_one(tmp_path: Path, program: list[str]) -> None:
    file = tmp_path / "s.lua"
    file.write_text("error('bad luck')")
    environment = {**os.environ, "PYTHONPATH": str(HELPERS.parent)}
    done = subprocess.run([*program, str(file)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bad luck" in done.stderr


class Shelf:
    """A shelf whose master is the test."""

    def __init__(self, folder: Path) -> None:
        self.answers: list[Any] = []
        self.cache = folder / "cache"
        self.shelf = script.Shelf(folder / "own", self.cache, self._fetch)

    async def _fetch(self, domain: str, name: str, sha256: str) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    def text(self, sha256: str | None = None) -> Any:
        """The text, or the error."""
        outcome: list[Any] = []
        args = ScriptArgs(domain="d", name="n", sha256=sha256)
        Deferred.fromCoroutine(self.shelf.text(args, ".py")).addBoth(outcome.append)
        return getattr(outcome[0], "value", outcome[0])


def test_a_text_is_fetched_once_and_never_run_when_its_hash_differs(tmp_path: Path) -> None:
    made = Shelf(tmp_path)
    made.answers = ["other", LinkError("away"), "print(1)"]
    for sentence in ("its hash differs", "away"):
        error = made.text(digest("print(1)"))
        assert isinstance(error, RefusedError)
        assert (error.code, sentence in error.reason) == (codes.BAD_SCRIPT, True)
    assert made.text(digest("print(1)")) == "print(1)"
    assert made.text(digest("print(1)")) == "print(1)"
    assert made.answers == []


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    made = Shelf(tmp_path)
    made.cache.mkdir()
    for number in range(script.MAX_CACHED + 20):
        (made.cache / f"{number:064x}").write_text("x")
    made.answers = ["print(1)"]
    made.text(digest("print(1)"))
    assert len(list(made.cache.iterdir())) == script.MAX_CACHED
