"""The first words to a master: the token that an operator gave, the key that this agent made (wire.py 1)."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, sleep
from deployer.kit.files import TooOpen, read_private
from deployer.protocol.signing import public_text
from deployer.protocol.wire import JoinAnswer, JoinRequest, encode
from deployer_agent.errors import LinkError
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.door import Door
from deployer_agent.link.firstcontact import split_token
from deployer_agent.link.identity import Identity
from deployer_agent.link.session import hostname


class Wish(Struct, frozen=True):
    """As whom, and with which token. The file is read at each try, so that a new token helps at once."""

    token_file: Path
    gid: int | None
    nid: int | None


async def join(door: Door, key: Ed25519PrivateKey, wish: Wish, clock: Clock) -> Identity:
    """Ask until the master takes us; what it answers to a wrong token is logged once a minute."""
    backoff, complaints = Backoff(), Complaints(clock)
    while True:
        try:
            return await ask(door, key, wish)
        except (LinkError, OSError, TooOpen) as error:
            complaints.say("this agent could not join", error)
            await sleep(clock, backoff.next_delay())


async def ask(door: Door, key: Ed25519PrivateKey, wish: Wish) -> Identity:
    """Ask once. Nothing is sent before the master is known by its CA, where a fingerprint says which one that is."""
    text = read_private(wish.token_file).decode("ascii", "replace").strip()
    token, pin = split_token(text)
    ca = await door.ca(pin)
    request = JoinRequest(
        token=token, public_key=public_text(key.public_key()), hostname=hostname(), gid=wish.gid, nid=wish.nid
    )
    answer = await door.http(ca).post("/agent/v1/join", encode(request), JoinAnswer)
    pinned = await door.settle(ca, answer.ca)
    return Identity(gid=answer.gid, nid=answer.nid, company=answer.company, master_keys=answer.master_keys, ca=pinned)
