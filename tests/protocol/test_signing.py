import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Raw

from deployer.protocol.commands import Envelope, SignedCommand, sha256_text
from deployer.protocol.signing import genuine, public_text, read_public, seal, sign, verifies


def command() -> SignedCommand:
    return SignedCommand(
        id="j",
        company="c",
        gid=1,
        nid=2,
        cmd="ping",
        args=Raw(b"{}"),
        data_sha256=sha256_text(""),
        created=1,
        not_after=2,
    )


def test_a_sealed_command_is_known_by_any_of_the_masters_keys() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    envelope = seal(key, command(), "")
    assert genuine([other.public_key(), key.public_key()], envelope)
    assert not genuine([other.public_key()], envelope)
    assert msgspec.json.decode(envelope.payload, type=SignedCommand) == command()


@pytest.mark.parametrize("place", [0, 10, -1])
def test_a_command_altered_by_one_character_is_not_genuine(place: int) -> None:
    key = Ed25519PrivateKey.generate()
    envelope = seal(key, command(), "")
    letters = list(envelope.payload)
    letters[place] = chr(ord(letters[place]) ^ 1)
    assert not genuine([key.public_key()], Envelope("".join(letters), envelope.signature))


@pytest.mark.parametrize("signature", ["", "x", "AAAA", "é", "A" * 88])
def test_what_is_no_signature_is_not_genuine(signature: str) -> None:
    key = Ed25519PrivateKey.generate()
    assert not genuine([key.public_key()], Envelope("{}", signature))


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    key = Ed25519PrivateKey.generate()
    envelope = seal(key, command(), "")
    assert not genuine([key.public_key()], Envelope(envelope.payload, sign(key, envelope.payload.encode())))
    assert not verifies(key.public_key(), envelope.signature, envelope.payload.encode())


def test_keys_are_read_as_they_are_written() -> None:
    public = Ed25519PrivateKey.generate().public_key()
    assert public_text(read_public(public_text(public))) == public_text(public)
    for text in ("", "AAAA", "not base64!"):
        with pytest.raises(ValueError, match="Ed25519"):
            read_public(text)
