"""`execute_js_py` and `execute_js_lua`: a script by its name, under an interpreter, exactly as it was signed.

Each run gets a file of its own that only its user can read, so that nothing changes between the check and the run.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import Deferred

import deployer_agent
from deployer.protocol import codes
from deployer.protocol.results import Result
from deployer.protocol.scripts import MAX_SCRIPT_BYTES, ScriptArgs
from deployer_agent.commands.execute import Program, Runner
from deployer_agent.commands.registry import Task
from deployer_agent.errors import LinkError, RefusedError

HELPERS: Final = Path(deployer_agent.__file__).parent
LUAS: Final = ("lua5.4", "luajit", "lua")
MAX_CACHED: Final = 500

Fetch = Callable[[str, str, str], Coroutine[Deferred[Any], Any, str]]
"""The text of a script by domain, name and hash; LinkError when the master does not give it."""


class Language(Struct, frozen=True):
    """How scripts of one language are found and run. `interpreter`: candidates, the first that is there.

    `otherwise`: a Python module that must be there, and the one to run instead of an interpreter.
    """

    name: str
    suffix: str
    interpreter: tuple[str, ...]
    environment: dict[str, str]
    otherwise: tuple[str, str] | None = None


def python(interpreter: str) -> Language:
    """Python under this interpreter; `deployer_agent.script` can be imported in it."""
    return Language("Python", ".py", (interpreter,), {"PYTHONPATH": str(HELPERS.parent)})


def lua(interpreter: str | None) -> Language:
    """Lua under this interpreter or what the host has; `deployer_script` can be required in it."""
    path = {"LUA_PATH": f"{HELPERS / 'lua'}/?.lua;;", "PYTHONPATH": str(HELPERS.parent)}
    otherwise = None if interpreter else ("lupa", "deployer_agent.luachild")
    return Language("Lua", ".lua", (interpreter,) if interpreter else LUAS, path, otherwise)


class Shelf:
    """Texts of scripts: those of the host's own folder, and those of the master, kept by their hash."""

    def __init__(self, folder: Path, cache: Path, fetch: Fetch) -> None:
        self._folder = folder
        self._cache = cache
        self._fetch = fetch

    async def text(self, args: ScriptArgs, suffix: str) -> str:
        """The text; RefusedError when there is none or it is not what was signed."""
        if args.sha256 is None:
            return self._own(args, suffix)
        text = self._cached(args.sha256)
        if text is None:
            text = await self._fetched(args, args.sha256)
            self._keep(args.sha256, text)
        return text

    def _own(self, args: ScriptArgs, suffix: str) -> str:
        path = self._folder / args.domain / (args.name if args.name.endswith(suffix) else args.name + suffix)
        try:
            if not path.resolve(strict=True).is_relative_to(self._folder.resolve()):
                raise FileNotFoundError
            content = path.read_bytes()[: MAX_SCRIPT_BYTES + 1]
        except OSError:
            raise RefusedError(
                codes.NOT_FOUND, f"neither master nor this host ({self._folder}) has a script {args.domain}/{args.name}"
            ) from None
        if len(content) > MAX_SCRIPT_BYTES:
            raise RefusedError(codes.BAD_SCRIPT, f"{path} is longer than {MAX_SCRIPT_BYTES} bytes")
        return content.decode("utf-8", "replace")

    def _cached(self, sha256: str) -> str | None:
        with suppress(OSError, UnicodeDecodeError):
            text = (self._cache / sha256).read_text("utf-8")
            if _digest(text) == sha256:
                return text
        return None

    async def _fetched(self, args: ScriptArgs, sha256: str) -> str:
        try:
            text = await self._fetch(args.domain, args.name, sha256)
        except LinkError as error:
            raise RefusedError(codes.BAD_SCRIPT, f"the script could not be fetched: {error}") from None
        if _digest(text) != sha256:
            raise RefusedError(codes.BAD_SCRIPT, "the script is not what was signed: its hash differs")
        return text

    def _keep(self, sha256: str, text: str) -> None:
        self._cache.mkdir(mode=0o700, exist_ok=True)
        kept = sorted(self._cache.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[: max(0, len(kept) + 1 - MAX_CACHED)]:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it is fetched again then
            (self._cache / sha256).write_text(text, "utf-8")


class Script:
    """Runs scripts of one language. `owner`: whose a run's file is to be, by the user that was asked for."""

    def __init__(
        self, language: Language, shelf: Shelf, runner: Runner, owner: Callable[[str | None], int | None]
    ) -> None:
        self._language = language
        self._shelf = shelf
        self._runner = runner
        self._owner = owner

    async def __call__(self, task: Task) -> Result | None:
        """Run it; RefusedError when it cannot be started."""
        args: ScriptArgs = task.args
        interpreter, *before = self._interpreter()
        text = await self._shelf.text(args, self._language.suffix)
        file = self._file(text, self._owner(args.user))
        try:
            program = Program(interpreter, [*before, str(file), *args.args], args.directory, self._language.environment)
            return await self._runner.run(task, program)
        finally:
            file.unlink(missing_ok=True)

    def _interpreter(self) -> list[str]:
        """The program, and what comes before the script's file."""
        for candidate in self._language.interpreter:
            if (found := shutil.which(candidate)) is not None:
                return [found]
        if self._language.otherwise and find_spec(self._language.otherwise[0]) is not None:
            return [sys.executable, "-m", self._language.otherwise[1]]
        names = ", ".join(self._language.interpreter)
        raise RefusedError(codes.NOT_FOUND, f"this host has no interpreter for {self._language.name}: {names}")

    def _file(self, text: str, owner: int | None) -> Path:
        handle, name = tempfile.mkstemp(prefix="deployer-", suffix=self._language.suffix)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        if owner is not None:
            shutil.chown(name, user=owner)
        return Path(name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
