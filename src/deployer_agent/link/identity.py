"""Who this agent is: its key, made before it joins, and what the master told it when it joined."""

from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from deployer.kit.files import TooOpen, read_private, write_private
from deployer.protocol.ids import AgentId
from deployer.protocol.wire import JoinAnswer
from deployer_agent.errors import StartError

KEY_FILE: Final = "agent.key"
IDENTITY_FILE: Final = "identity.json"


class Identity(Struct, frozen=True):
    """What joining gave."""

    agent: AgentId
    company: str
    master_keys: list[str]
    ca: str | None = None

    @classmethod
    def of(cls, answer: JoinAnswer) -> "Identity":
        """From the master's answer."""
        return cls(AgentId(answer.gid, answer.nid), answer.company, answer.master_keys, answer.ca)


def load_key(data_dir: Path) -> Ed25519PrivateKey:
    """The agent's key, made at the first start; StartError when others can read it or it is none."""
    path = data_dir / KEY_FILE
    if not path.exists():
        write_private(path, _pem(Ed25519PrivateKey.generate()))
    try:
        key = serialization.load_pem_private_key(_secret(path), password=None)
    except (ValueError, TypeError) as error:
        raise StartError(f"{path} holds no key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise StartError(f"{path} holds a key of another kind: an Ed25519 key in PEM is needed")
    return key


def load_identity(data_dir: Path) -> Identity | None:
    """What an earlier start joined as; None before the first."""
    path = data_dir / IDENTITY_FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(_secret(path), type=Identity)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise StartError(f"{path} is damaged: {error}") from None


def save_identity(data_dir: Path, identity: Identity) -> None:
    """Keep what joining gave."""
    write_private(data_dir / IDENTITY_FILE, msgspec.json.encode(identity))


def _secret(path: Path) -> bytes:
    try:
        return read_private(path)
    except TooOpen as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from None


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
