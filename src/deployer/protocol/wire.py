"""The long poll between agent and master: who says what, and what follows a lost link.

Media type `application/vnd.deployer.v1+json`. The agent is always the HTTP client.

1. Join, once. `POST /agent/v1/join` with a `JoinRequest` answers a `JoinAnswer`. The agent made an Ed25519 key first.
   The same token and key again answer the same numbers (an answer may be lost); a number that another key has is 409.
   With an empty token a key that is known gets the same answer; another one 403 `waiting` until somebody has let it in
   (403 `forbidden`: rejected), or 401 where nobody may wait. 403 `revoked` is final, here and for a session.
2. Session. `GET /agent/v1/challenge` answers a `ChallengeAnswer`, good once and for 60 s. `POST /agent/v1/session` with
   a `SessionRequest`, signed over `session_text()`, answers a `SessionAnswer`. The newest session of an agent is the
   only one: its `epoch` fences all others. It is valid for an hour and renewed before. 401 on any later request means:
   open a new session; 409 `stale_session`: another session replaced this one; 409 `other_instance`: another instance
   with the same key is alive: it was asked (its poll ended early) and polled again within 5 s. One that does not is
   taken over from, three times in ten minutes; then 409 `quarantined` to all but the present one, for ten minutes.
3. Commands. `GET /{gid}/{nid}/cmd?n=COUNT&wait=S` lasts S s, 15 at most, and answers a `PollAnswer`: 0 to COUNT
   envelopes and all kills.
   What was sent and not accepted within the lease comes again.
4. Acceptance. The agent verifies each envelope, writes it into its journal, and posts an `AcceptRequest` to
   `/{gid}/{nid}/accept`; the `AcceptAnswer` says for each id `START`, `DONE` (its result is already known), `CANCELLED`
   (ended meanwhile: do not start), `CONFLICT` (another instance accepted it), `UNKNOWN` (no such task any more).
   Only what is answered START is started. A lost answer: the agent posts again; acceptance is idempotent.
5. Messages. `POST /{gid}/{nid}/log` with a `LogBatch`; one batch at a time, sent again unchanged until it is
   acknowledged. `seq` counts batches of one `boot` from 1; the master drops what it has already stored.
6. Results. `POST /{gid}/{nid}/result` with a `ResultBatch`; the `ResultAnswer` says for each id `OK` or `DUP` (kept for
   ever: the agent may forget it), `CONFLICT` (a different final result is known) or `UNKNOWN`. A task's messages are
   acknowledged before its result is posted. `runs` are finished runs of tasks that go on, each kept once by task and
   run; their receipts are `run_receipts`.
7. Numbers. `POST /{gid}/{nid}/stats` with a `stats.StatsBatch` of at most 1 MiB, as messages are posted: one batch at a
   time, again unchanged until the `StatsAnswer` acknowledges it. Numbers of an impossible time are acknowledged too,
   and dropped.
8. Facts. `POST /{gid}/{nid}/facts` with a `facts.HostFacts` of at most 128 KiB answers a `facts.FactsAnswer`: when the
   agent has started, when what the host is has changed, and once a day. The same again makes no version at the master.
9. Processes. `POST /{gid}/{nid}/processes` with a `processes.ProcessList` of at most 1 MiB answers a
   `processes.ProcessesAnswer`: all that runs, when that has changed and after each sample of what it consumes. The
   newest replaces the one before.

Errors are problem+json as on the rest of the API. On any failure the agent keeps everything and tries again with
full-jitter backoff; what came in an answer that is not of this media type is never run.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from deployer.protocol.commands import Envelope
from deployer.protocol.extensions import ExtensionName
from deployer.protocol.ids import AgentId, GridId, NodeId, TaskId
from deployer.protocol.messages import Group
from deployer.protocol.results import Result
from deployer.protocol.traits import NONE, Traits

MEDIA_TYPE: Final = "application/vnd.deployer.v1+json"
POLL_S: Final = 15.0
MAX_COMMANDS: Final = 100
MAX_RESULTS: Final = 100
MAX_POST_BYTES: Final = 4 * 1024 * 1024

Hex64 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Base64 = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{1,200}={0,2}\Z")]
Hostname = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,255}\Z")]


class JoinRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An agent's first words. `public_key`: raw Ed25519 in base64. `token` is empty in a request to be let in.

    `system`, `version`: for whoever decides about that.
    """

    token: Annotated[str, Meta(max_length=400)]
    public_key: Base64
    hostname: Hostname
    gid: GridId | None = None
    nid: NodeId | None = None
    system: Annotated[str, Meta(max_length=200, pattern=r"^[ -~]*\Z")] = ""
    version: Annotated[str, Meta(max_length=64, pattern=r"^[ -~]*\Z")] = ""


class JoinAnswer(Struct, frozen=True, kw_only=True):
    """What the agent is from now on, and whose commands it obeys (raw Ed25519 keys in base64).

    `ca` is the PEM of the installation's CA, null where the master is known by the system's roots.
    """

    gid: int
    nid: int
    company: str
    ca: str | None
    master_keys: list[str]


class ChallengeAnswer(Struct, frozen=True):
    """Something to sign, good once and for `expires_s` seconds."""

    challenge: str
    expires_s: int


class SessionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Proof that the agent holds its key. `instance` was made with the key and survives restarts."""

    gid: GridId
    nid: NodeId
    instance: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    challenge: Annotated[str, Meta(max_length=200)]
    signature: Base64
    version: Annotated[str, Meta(max_length=64)] = ""
    hostname: Hostname | None = None
    extensions: Annotated[list[ExtensionName], Meta(max_length=200)] = []
    traits: Traits = NONE


class Configuration(Struct, frozen=True, kw_only=True):
    """How the agent behaves, as the master pushes it (seed 003). Grows with the issues; unknown fields are ignored."""

    poll_s: float = POLL_S


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """`session` is the bearer token, `epoch` its fencing number, `lease_s` how long an unaccepted command is held.

    `company`: whose agent it is. Another one than before: the master has lost its state, and the agent joins again.
    """

    session: str
    epoch: int
    lease_s: float
    valid_s: float
    company: str = ""
    configuration: Configuration = Configuration()


class PollAnswer(Struct, frozen=True):
    """Commands for this agent, oldest first; kills come before the others."""

    commands: list[Envelope]


class AcceptRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Ids that are in the journal. Also ids that the agent refused: their result follows at once."""

    accepted: Annotated[list[TaskId], Meta(max_length=MAX_COMMANDS)]


Verdict = Literal["START", "DONE", "CANCELLED", "CONFLICT", "UNKNOWN"]


class AcceptAnswer(Struct, frozen=True):
    """One verdict for each id, in the order of the request."""

    verdicts: list[Verdict]


class LogBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages in order. `boot` names the agent's outbox (new when its numbering starts anew)."""

    boot: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    seq: Annotated[int, Meta(ge=1, le=2**62)]
    groups: Annotated[list[Group], Meta(max_length=1000)]


class LogAnswer(Struct, frozen=True):
    """`acked`: the highest `seq` of this boot that is stored."""

    acked: int


class ResultBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Outcomes of tasks, and of runs of tasks that go on; each is acknowledged by itself."""

    results: Annotated[list[Result], Meta(max_length=MAX_RESULTS)]
    runs: Annotated[list[Result], Meta(max_length=MAX_RESULTS)] = []


Receipt = Literal["OK", "DUP", "CONFLICT", "UNKNOWN"]


class ResultAnswer(Struct, frozen=True, omit_defaults=True):
    """One receipt for each result and each run, in the order of the request."""

    receipts: list[Receipt]
    run_receipts: list[Receipt] = []


class Problem(Struct, frozen=True):
    """What the agent reads of a problem+json: the last part of `type` is the code."""

    type: str = ""
    detail: str = ""
    errors: Raw = Raw(b"[]")

    @property
    def code(self) -> str:
        """`stale_session` of `/api/docs/errors#stale_session`."""
        return self.type.rpartition("#")[2]


def session_text(agent: AgentId, instance: str, challenge: str) -> bytes:
    """What an agent signs to open a session; the first words keep it apart from every other signature."""
    return f"deployer session v1\n{agent}\n{instance}\n{challenge}".encode()


encode = msgspec.json.Encoder().encode
