"""The first words to a master: the token that an operator gave, the key that this agent made (wire.py 1)."""

import hashlib
import platform
import re
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, sleep
from deployer.kit.files import TooOpen, read_private
from deployer.protocol.signing import public_text
from deployer.protocol.wire import JoinAnswer, JoinRequest, encode
from deployer_agent.errors import LinkError, ProblemError, StartError
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.door import Door
from deployer_agent.link.firstcontact import split_token
from deployer_agent.link.identity import Identity
from deployer_agent.link.session import hostname

REVOKED: Final = "revoked"
log = Logger(namespace="deployer_agent.link.join")


class Wish(Struct, frozen=True):
    """As whom, and with which token. The file is read at each try, so that a new token helps at once.

    Without a file the agent asks to be let in.
    """

    token_file: Path | None
    gid: int | None
    nid: int | None


async def join(door: Door, key: Ed25519PrivateKey, wish: Wish, clock: Clock) -> Identity:
    """Ask until the master takes us; what it answers to a wrong token is logged once a minute."""
    backoff, complaints = Backoff(), Complaints(clock)
    if wish.token_file is None:
        log.info("asking to join: the fingerprint of this agent's key is sha256:{pin}", pin=fingerprint(key))
    while True:
        try:
            return await ask(door, key, wish)
        except ProblemError as error:
            if error.code == REVOKED:
                raise StartError(f"the master does not take this agent any more ({error})") from None
            complaints.say("this agent could not join", error)
            await sleep(clock, backoff.next_delay())
        except (LinkError, OSError, TooOpen) as error:
            complaints.say("this agent could not join", error)
            await sleep(clock, backoff.next_delay())


async def ask(door: Door, key: Ed25519PrivateKey, wish: Wish, pinned: str | None = None) -> Identity:
    """Ask once. Nothing is sent before the master is known by its CA, where a fingerprint says which one that is."""
    text = "" if wish.token_file is None else read_private(wish.token_file).decode("ascii", "replace").strip()
    if wish.token_file is not None and not text:
        raise LinkError(f"the join token file {wish.token_file} is empty")
    token, pin = split_token(text)
    ca = pinned or await door.ca(pin)
    about = {} if token else {"system": system(), "version": door.address.version}
    request = JoinRequest(
        token=token, public_key=public_text(key.public_key()), hostname=hostname(), gid=wish.gid, nid=wish.nid, **about
    )
    answer = await door.http(ca).post("/agent/v1/join", encode(request), JoinAnswer)
    settled = await door.settle(ca, answer.ca)
    return Identity(gid=answer.gid, nid=answer.nid, company=answer.company, master_keys=answer.master_keys, ca=settled)


async def join_again(door: Door, key: Ed25519PrivateKey, wish: Wish, known: Identity) -> Identity:
    """Join as the same agent, by the token if it is still good, else by the key; LinkError when that may not be."""
    try:
        told = await ask(door, key, wish, known.ca)
    except (ProblemError, OSError, TooOpen):
        told = await ask(door, key, Wish(None, wish.gid, wish.nid), known.ca)
    _require_same(known, told)
    return told


def _require_same(known: Identity, told: Identity) -> None:
    """LinkError when an agent that joined again would be another one, or obey others; its company may be a new one."""
    if told.agent != known.agent or told.master_keys != known.master_keys:
        raise LinkError(
            f"the master would make agent {known.agent} of other masters, or another number: "
            "give it an empty data directory if that is right"
        )


def fingerprint(key: Ed25519PrivateKey) -> str:
    """By what people know an agent's key: the SHA-256 of its public half in base64, in hex."""
    return hashlib.sha256(public_text(key.public_key()).encode()).hexdigest()


def system() -> str:
    """What kind of system this is, for whoever decides about the agent."""
    known = f"{platform.system()} {platform.release()} {platform.machine()}"
    return re.sub(r"[^ -~]", "-", known)[:200]
