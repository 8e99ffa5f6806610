"""Ed25519 (RFC 8032) for commands and sessions: keys as raw base64, what is signed begins with its purpose."""

import base64
import binascii
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deployer.protocol.commands import Envelope, SignedCommand, encode_payload

_COMMAND = b"deployer command v1\n"


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as base64 of its 32 raw bytes."""
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def read_public(text: str) -> Ed25519PublicKey:
    """Read `public_text()` back; ValueError when it is not a key."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError("not an Ed25519 public key: 32 bytes in base64") from error


def sign(key: Ed25519PrivateKey, text: bytes) -> str:
    """Sign bytes that begin with their purpose."""
    return base64.b64encode(key.sign(text)).decode()


def verifies(key: Ed25519PublicKey, signature: str, text: bytes) -> bool:
    """Tell whether `signature` (base64) is the key's over `text`."""
    try:
        key.verify(base64.b64decode(signature, validate=True), text)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def seal(key: Ed25519PrivateKey, command: SignedCommand, data: str) -> Envelope:
    """Make the envelope of a command."""
    payload = encode_payload(command)
    return Envelope(payload.decode(), sign(key, _COMMAND + payload), data)


def genuine(keys: Iterable[Ed25519PublicKey], envelope: Envelope) -> bool:
    """Tell whether any of the masters' keys signed this envelope's payload."""
    text = _COMMAND + envelope.payload.encode("utf-8", "surrogatepass")
    return any(verifies(key, envelope.signature, text) for key in keys)
