"""Who this agent is: its key, and what the master told it at the join (DESIGN 5); both in the data directory."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from msgspec import Struct

from deployer.kit.files import TooOpen, read_private, write_private
from deployer.protocol.ids import AgentId, GridId, NodeId
from deployer.protocol.signing import read_public
from deployer_agent.errors import IdentityError

KEY_FILE: Final = "agent.key"
IDENTITY_FILE: Final = "identity.json"
MACHINE_ID: Final = Path("/etc/machine-id")


class Identity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the master answered at the join."""

    gid: GridId
    nid: NodeId
    company: str
    master_keys: list[str]
    ca: str | None

    @property
    def agent(self) -> AgentId:
        """Grid and node."""
        return AgentId(self.gid, self.nid)

    def keys(self) -> list[Ed25519PublicKey]:
        """Whose commands are obeyed."""
        try:
            return [read_public(text) for text in self.master_keys]
        except ValueError as error:
            raise IdentityError(f"{IDENTITY_FILE} has a master key that is {error}") from None


def ensure_key(data_dir: Path) -> Ed25519PrivateKey:
    """Read the agent's key, made at its first start; IdentityError when it cannot be used."""
    path = data_dir / KEY_FILE
    if not (path.exists() or path.is_symlink()):
        key = Ed25519PrivateKey.generate()
        write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return _read_key(path)


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(read_private(path, follow=False), password=None)
    except TooOpen as error:
        raise IdentityError(str(error)) from None
    except (OSError, ValueError, TypeError) as error:
        raise IdentityError(f"{path} cannot be read as a key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{path} is not an Ed25519 key")
    return key


def load_identity(data_dir: Path) -> Identity | None:
    """Read who this agent is; None before it has joined."""
    path = data_dir / IDENTITY_FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(read_private(path, follow=False), type=Identity)
    except (TooOpen, OSError) as error:
        raise IdentityError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IdentityError(f"{path} is damaged: {error}") from None


def store_identity(data_dir: Path, identity: Identity) -> None:
    """Keep it for ever."""
    write_private(data_dir / IDENTITY_FILE, msgspec.json.encode(identity))


def place_of(data_dir: Path) -> str:
    """Where an agent lives: the machine and the directory; the same over restarts, and another for a copy."""
    machine = b""
    with contextlib.suppress(OSError):  # not every system has it
        machine = MACHINE_ID.read_bytes().strip()[:64]
    return hashlib.sha256(machine + b"\n" + os.fsencode(data_dir.resolve())).hexdigest()
