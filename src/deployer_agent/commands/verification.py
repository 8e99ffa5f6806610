"""Whether a command is for us and from our master (DESIGN 5). Pure."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from deployer.protocol import codes
from deployer.protocol.commands import Envelope, SignedCommand, sha256_text
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import genuine
from deployer_agent.errors import RefusedError
from deployer_agent.journal.rows import NewRow

SKEW_MS: Final = 5 * 60 * 1000


class Obedience(Struct, frozen=True):
    """Who we are and whom we obey."""

    agent: AgentId
    company: str
    keys: Sequence[Ed25519PublicKey]


def verify(envelope: Envelope, obedience: Obedience, now_ms: int) -> SignedCommand:
    """The command in an envelope; RefusedError when it must not even be remembered, since it may be forged."""
    if not genuine(obedience.keys, envelope):
        raise RefusedError(codes.BAD_SIGNATURE, "not signed by a master that this agent has joined")
    try:
        command = _decode(envelope.payload)
    except (msgspec.DecodeError, UnicodeError):
        raise RefusedError(
            codes.BAD_ARGUMENTS, "a signed command that this agent cannot read: is it too old?"
        ) from None
    if sha256_text(envelope.data) != command.data_sha256:
        raise RefusedError(codes.BAD_SIGNATURE, "the data are not those that were signed")
    if AgentId(command.gid, command.nid) != obedience.agent or command.company != obedience.company:
        raise RefusedError(codes.WRONG_AGENT, "signed for another agent")
    if now_ms > command.not_after + SKEW_MS:
        raise RefusedError(codes.EXPIRED, "its not_after has passed")
    return command


def journal_row(command: SignedCommand, envelope: Envelope) -> NewRow:
    """What the journal keeps of it."""
    sha = hashlib.sha256(envelope.payload.encode()).digest()
    return NewRow(command.id, command.run, sha, command.created, command.not_after, _encode(envelope))


def reopen(raw: bytes) -> tuple[SignedCommand, Envelope]:
    """Read what the journal kept."""
    envelope = _envelope(raw)
    return _decode(envelope.payload), envelope


_decode = msgspec.json.Decoder(SignedCommand).decode
_envelope = msgspec.json.Decoder(Envelope).decode
_encode = msgspec.json.Encoder().encode
