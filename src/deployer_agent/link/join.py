"""Joining: once in an agent's life, tried until the master answers."""

import re
import socket
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.logger import Logger

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, sleep
from deployer.kit.files import TooOpen, read_private
from deployer.protocol.signing import public_text
from deployer.protocol.wire import JoinAnswer, JoinRequest
from deployer_agent.errors import StartError
from deployer_agent.link.http import LinkError, MasterHttp, RefusedByMaster
from deployer_agent.link.identity import Identity, load_identity, save_identity

log = Logger()
_FINAL: Final = frozenset({400, 401, 403, 409, 422})


class Joining(msgspec.Struct, frozen=True):
    """With what an agent joins."""

    data_dir: Path
    token_file: str | None
    gid: int | None
    nid: int | None


async def identity(http: MasterHttp, key: Ed25519PrivateKey, joining: Joining, clock: Clock) -> Identity:
    """Who this agent is: what an earlier start kept (then a join token is ignored), else by joining now."""
    known = load_identity(joining.data_dir)
    if known is not None:
        _check(known, joining)
        return known
    request = JoinRequest(
        token=_token(joining.token_file),
        public_key=public_text(key.public_key()),
        hostname=hostname(),
        gid=joining.gid,
        nid=joining.nid,
    )
    made = Identity.of(await _insist(http, request, clock))
    save_identity(joining.data_dir, made)
    log.info("joined as {agent}", agent=str(made.agent))
    return made


def hostname() -> str:
    """This host's name, as the master takes it."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:255] or "unknown"


async def _insist(http: MasterHttp, request: JoinRequest, clock: Clock) -> JoinAnswer:
    backoff = Backoff()
    while True:
        try:
            return await http.ask("POST", "/agent/v1/join", _decode, body=request)
        except RefusedByMaster as error:
            if error.status in _FINAL:
                raise StartError(f"the master refuses this agent: {error.detail}") from None
            reason = str(error)
        except LinkError as error:
            reason = str(error)
        if backoff.failures % 10 == 0:
            log.warn("cannot join yet: {reason}", reason=reason)
        await sleep(clock, backoff.next_delay())


def _token(file: str | None) -> str:
    if file is None:
        raise StartError("this agent has not joined yet: give --join-token-file")
    try:
        return read_private(Path(file)).decode("ascii", "replace").strip()
    except TooOpen as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"cannot read the join token {file}: {error.strerror}") from None


def _check(known: Identity, joining: Joining) -> None:
    for name, wanted, is_ in (("gid", joining.gid, known.agent.gid), ("nid", joining.nid, known.agent.nid)):
        if wanted is not None and wanted != is_:
            raise StartError(
                f"{joining.data_dir} belongs to agent {known.agent}, not to {name} {wanted}: give another --data-dir"
            )


_decode = msgspec.json.Decoder(JoinAnswer).decode
