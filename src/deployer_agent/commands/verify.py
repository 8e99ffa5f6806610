"""Is this envelope from a master this agent obeys, for this agent, unchanged and in time? (DESIGN 5, J20). Pure."""

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from deployer.protocol import codecs, codes, signing
from deployer.protocol.commands import Envelope, SignedCommand, sha256_text
from deployer.protocol.ids import AgentId
from deployer_agent.errors import ForgedError, RefusedError

TOLERANCE_MS: Final = 5 * 60_000


class Verifier:
    """Knows the masters' keys and who we are; the company is another one when a master has lost its state."""

    def __init__(self, keys: Sequence[Ed25519PublicKey], agent: AgentId, company: str) -> None:
        self._keys = keys
        self._agent = agent
        self.company = company

    def command(self, envelope: Envelope) -> SignedCommand:
        """Return what was signed; ForgedError when it is not to be trusted."""
        if not signing.genuine(self._keys, envelope):
            raise ForgedError(codes.BAD_SIGNATURE, "not signed by a master that this agent has joined")
        command = self.read(envelope.payload)
        if AgentId(command.gid, command.nid) != self._agent or command.company != self.company:
            raise ForgedError(codes.WRONG_AGENT, f"{command.id} was signed for another agent or company")
        if not _fits(command, envelope.data):
            raise ForgedError(codes.BAD_SIGNATURE, f"the data of {command.id} is not what was signed")
        return command

    @staticmethod
    def read(payload: str) -> SignedCommand:
        """Decode a payload that was verified."""
        try:
            return codecs.decode(SignedCommand, payload)
        except (codecs.NotJson, codecs.Misfit) as error:
            raise ForgedError(codes.BAD_ARGUMENTS, f"a signed payload is no command: {error}") from None


def require_in_time(command: SignedCommand, now: int) -> None:
    """RefusedError when it is too late to start it, whatever the clocks differ by."""
    if now > command.not_after + TOLERANCE_MS:
        raise RefusedError(codes.EXPIRED, "its not_after had passed when it came")


def _fits(command: SignedCommand, data: str) -> bool:
    try:
        return sha256_text(data) == command.data_sha256
    except UnicodeEncodeError:
        return False
