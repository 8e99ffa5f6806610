"""Scripts (jumpscripts of seed 001): named by domain and name, known by the SHA-256 of their text.

The master resolves a name to a hash at submit and signs it with the rest; an agent runs only what has that hash.
"""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

from deployer.protocol.commands import MAX_ARGUMENTS, RunArgs, Text, sha256_text

MAX_SCRIPT_BYTES: Final = 512 * 1024
NAME_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z"
_NAME: Final = re.compile(NAME_PATTERN)

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class ScriptArgs(RunArgs, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Arguments of `execute_js_py` and `execute_js_lua`: the script by `domain` and `name`, how it is run, its own.

    `sha256`: which version; None: the newest that the master has, else the one in the agent's own folder.
    """

    args: Annotated[list[Text], Meta(max_length=MAX_ARGUMENTS)] = []  # noqa: RUF012 (msgspec copies it)
    sha256: Hash | None = None

    def __post_init__(self) -> None:
        """Refuse what only the values together tell."""
        for field in ("domain", "name"):
            if not is_name(getattr(self, field)):
                raise ValueError(f"`{field}` is a script's: letters, digits, dot, underscore, hyphen; no dot in front")
        RunArgs.__post_init__(self)


class ScriptAnswer(Struct, frozen=True):
    """A script's text, for an agent."""

    text: str


def is_name(text: str) -> bool:
    """Whether this can be a script's domain or name, and so a part of a path."""
    return _NAME.fullmatch(text) is not None


digest = sha256_text
