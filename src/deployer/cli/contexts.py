"""Which master, and as whom: options, then environment, then the context file. Never a token on the command line.

The context file is `$DEPLOYER_CONFIG`, else `~/.config/deployer/config.toml` (`XDG_CONFIG_HOME` is honoured), 0600:

    current = "demo"
    [contexts.demo]
    url = "http://127.0.0.1:8966"
    token_file = "admin-token"     # relative to this file
    ca_file = "ca.pem"             # optional
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.client.errors import ClientError
from deployer.kit.files import TooOpen, read_private

_TOKEN = re.compile(r"[\x21-\x7e]{1,1000}")


class BadContext(ClientError):  # noqa: N818 (it says what it is)
    """Address or token are missing or unusable."""


@dataclass(frozen=True, slots=True)
class Target:
    """A master and how to speak to it."""

    url: str
    token: str
    ca_file: str | None


def config_path(environment: Mapping[str, str]) -> Path:
    """Where the contexts are."""
    if named := environment.get("DEPLOYER_CONFIG"):
        return Path(named)
    home = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "deployer" / "config.toml"


def find(
    url: str | None, token_file: str | None, context: str | None, environment: Mapping[str, str] = os.environ
) -> Target:
    """Put together what options, environment and context say.

    A context's token is for that context's address only: it is never sent to an address given otherwise.
    """
    url = url or (None if context else environment.get("DEPLOYER_URL"))
    token_file = token_file or (None if context else environment.get("DEPLOYER_TOKEN_FILE"))
    chosen = {} if url else _context(config_path(environment), context)
    url = url or chosen.get("url")
    token_file = token_file or chosen.get("token_file")
    if not url:
        raise BadContext("no master is named: use deployer login, give --url, or set DEPLOYER_URL")
    if not token_file:
        raise BadContext(f"no token for {url}: give --token-file or set DEPLOYER_TOKEN_FILE")
    return Target(url, read_token(Path(token_file)), chosen.get("ca_file") or environment.get("DEPLOYER_CA_FILE"))


def read_token(path: Path) -> str:
    """The token in a file that is nobody else's to read."""
    return as_token(_read(path, "token file").decode("ascii", "replace"), str(path))


def as_token(text: str, where: str) -> str:
    """The token that a text is; BadContext."""
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise BadContext(f"{where} does not hold a token: one line of printable characters")
    return token


def _context(path: Path, name: str | None) -> dict[str, str]:
    """One context of the file, its files relative to it; empty when there is neither file nor wish."""
    if not path.exists():
        if name is None:
            return {}
        raise BadContext(f"there is no context {name!r}: {path} does not exist")
    config = parse(path)
    name = name or str(config.get("current") or "")
    if not name:
        return {}
    chosen = (config.get("contexts") or {}).get(name)
    if not isinstance(chosen, dict):
        raise BadContext(f"{path} has no context {name!r}")
    texts = {key: str(value) for key, value in chosen.items()}
    for key in ("token_file", "ca_file"):
        if key in texts:
            texts[key] = str(path.parent / Path(texts[key]).expanduser())
    return texts


def parse(path: Path) -> dict[str, Any]:
    """The context file; BadContext when it is none, or others may read it."""
    try:
        return tomllib.loads(_read(path, "context file").decode())
    except ValueError as error:
        raise BadContext(f"{path} is not TOML: {error}") from error


def _read(path: Path, what: str) -> bytes:
    try:
        return read_private(path)
    except OSError as error:
        raise BadContext(f"cannot read the {what} {path}: {error.strerror}") from error
    except TooOpen as error:
        raise BadContext(str(error)) from error
