"""Every key in Redis, named once.

`cmds_queue`, `cmds_queue_<id>` and `log.<domain>.<name>` are the public contract (DESIGN 6): bare for the default
company, `c:<company>:` in front for another. All other keys are ours. Scripts get the prefix of a company or agent
among KEYS and append names that they read from Redis (a task id from a queue): allowed, since Redis is not a cluster.

    dpl:installation                 hash   public key, default company, created
    dpl:companies                    set    ids of companies
    dpl:companies:names              hash   name -> id
    dpl:companies:gone               set    removed ones whose keys are not all gone yet
    dpl:company:<c>                  hash   name, created, version;  …:grids  set  of its grids
    dpl:grids                        string the last grid that was given without being asked for by number
    dpl:grid:<gid>                   hash   company, next
    dpl:token:<kid>, dpl:join:<kid>  hash   sha (of the secret), company, user, role / gid, uses; name, by, created,
                                            expires, used
    dpl:keys                         hash   public key of an agent -> gid:nid
    dpl:agent:<gid>:<nid>            hash   company, public_key, epoch, instance, session, state, last_seen, host, ...;
                                            asked, polled, answered (whether its instance lives), takeovers,
                                            takeovers_since, quarantined, rival, rival_host, rival_at, rival_outcome
      …:queue …:control              list   task ids, kills apart
      …:ranked                       zset   task ids with a priority, by rank
      …:inflight                     zset   task ids sent and not accepted, by lease deadline
      …:running                      zset   task ids accepted and not ended, by when they were accepted
      …:states …:failures            list   the last twenty: <ms> <state>; <ms> <state> <task>@<agent>
      …:processes                    string what runs there; expires
      …:current                      string the last numbers of host and processes; expires
      …:host                         hash   n, sha, facts, summary; …:host:versions  zset  by n, the last hundred
    dpl:session:<sha256>             hash   agent, epoch, instance, company; expires
    dpl:login:<sha256>               hash   a browser's session: company, user, seal, created, ends; expires when idle
    dpl:used:<challenge>             string expires
    dpl:breaches                     zset   <company>|<monitor>|<threshold> that is broken, by when that is to be told
    dpl:schedules                    zset   <company prefix>|<schedule> by when its next slot is due (Redis time, ms)
    dpl:firings                      zset   <company prefix>|<schedule> with slots that wait, by when it may be taken
    dpl:revoked                      zset   agents whose tasks are still to be ended, by when they were revoked
    dpl:seen:online, :overdue        zset   agents by last contact (Redis time, ms)
    dpl:masters                      zset   masters by when they were heard of last
    dpl:master:<id>                  string its record; expires
      dpl:master:<id>:exceptions     list   the last hundred, newest first; expires
    dpl:weight                       string bytes by kind of key; dpl:weigher  string  the master that weighs; expires
    dpl:mover                        string the master that takes commands from cmds_queue; expires
    dpl:probe                        -      never there: what would be written to see whether writes are taken
    dpl:ended                        zset   <prefix>|<job> whose end others are to be told of, by their end
    dpl:deadlines                    zset   <company>/<task>@<agent> not started yet, by not_after
    dpl:plans                        zset   <prefix>|<job> whose plan is to be looked at, by when (Redis time, ms)
    dpl:c:<c>:jobs                   zset   <created>:<job>, by name
    dpl:c:<c>:finished               zset   jobs by end
    dpl:c:<c>:hungry                 zset   jobs that wait for room on an agent, by their priority
    dpl:c:<c>:open                   string number of open tasks
    dpl:c:<c>:job:<job>              hash   doc, sha, user, created, n:<STATE>, open, finished, log_stream/first/last
                                            plan (1 while tasks are to be made), rest, rest_state, rest_at (the end
                                            of those that never were), dep:<job> (how one that it waits for ended),
                                            added (agents that came later)
      …:tasks                        list   <task>@<agent>
      …:plan                         list   tasks to be made: agent or item (JSON);  …:more  string  what they share
      …:next                         set    jobs that wait for this one, or did
      …:waiting                      set    those of them that are to be told of its end
    dpl:c:<c>:task:<task>@<agent>    hash   state, job, list, rank, item, ram, load, wire, by, result, times, runs,
                                            log_bytes, log_dropped,
                                            reply (cmds_queue_<id>), head (what stands before its results there)
      …:runs                         zset   records of finished runs, by run
    dpl:c:<c>:tokens:<kind>          zset   public ids of tokens (dpl: users', dpj: for joining) by their making
    dpl:c:<c>:users                  zset   users by name
    dpl:c:<c>:owners                 set    those of them who can manage the company and are not disabled
    dpl:c:<c>:user:<name>            hash   id, email, role, agents (JSON list; empty: all), disabled, created, version,
                                            password (argon2id), seal (a session with another one has ended)
    dpl:c:<c>:logins:<name>          zset   sessions of a user by their making
    dpl:c:<c>:agents                 zset   agents of the company, by name
    dpl:c:<c>:waiting                zset   fingerprints of agents that wait to be let in, by when they asked last
    dpl:c:<c>:waiting:<fingerprint>  hash   public_key, hostname, address, gid, nid, system, version, first, last,
                                            rejected; expires
    dpl:c:<c>:monitors               zset   ids of monitors by their making
    dpl:c:<c>:monitor:<id>           hash   doc, agent, version, since:<threshold> (Redis time, ms), told:<threshold>
    dpl:c:<c>:monitors:<gid>:<nid>   set    ids of the monitors of an agent
    dpl:webhooks                     zset   <prefix>|<webhook> to be looked at, by when (Redis time, ms)
    dpl:c:<c>:webhooks               zset   ids of webhooks by their making
    dpl:c:<c>:webhook:<id>           hash   doc, version, secret, cursor, failures, since, delivered, lost, gone
      …:deliveries                   list   the last twenty (JSON)
    dpl:c:<c>:events                 stream type, subject, state;  …:told  string  followers were woken; expires
    dpl:c:<c>:annotations            zset   annotations (JSON) by their second;  …:last  string  number of the last
    dpl:c:<c>:schedules              zset   ids of schedules by their making
      …:names                        hash   name -> id
    dpl:c:<c>:schedule:<id>          hash   doc, name, version, next (slot, ms), planned (the last slot that was), job
                                            (its last), owner (the master that deals with it), n:<OUTCOME>, untold
                                            (missed ones, not told yet), untold_since
      …:waiting                      list   slots that are due and not dealt with
      …:firings                      list   the last twenty, newest first
    dpl:c:<c>:scripts                hash   <domain>/<name> -> its newest version
    dpl:c:<c>:script:<domain>/<name> hash   sha256 -> text;  …:versions  list   sha256, the newest first
    dpl:c:<c>:audit                  stream e (an entry), h (its hash);  …:audit:head  string  n:hash of the last
    dpl:c:<c>:claim:<sha256>         string a request with an Idempotency-Key: claimed, or its answer; encrypted
    dpl:c:<c>:claims                 zset   their digests by time
    dpl:auditor                      string the master that exports what is too old of the audit logs; expires
    dpl:c:<c>:logs                   zset   log streams by bytes that are open to thinning
      …:kept                         zset   log streams by bytes of what is protected and old
      …:total                        string bytes of both; looked at anew now and then
      …:at                           zset   log streams by when they last grew (Redis time, ms)
      …:first:<tier>                 zset   log streams by the first entry of a tier (Redis time, ms)
      …:left                         hash   log stream -> how many of its messages were thinned out
    log.<domain>.<name>:1 … :5       stream older tiers of a log: m (messages), i (the places that they had at first)
    dpl:c:<c>:points                 stream numbers on their way to the metric store: agent, f (list of flushes), or
                                            d (list of data of what is no agent)
      …:bytes                        string bytes of all f and d in it
    dpl:c:<c>:series                 hash   series -> how its values are merged, and the day it was last fed
      …:version                      string changes when there are others
    dpl:thinner, dpl:metrics:writer, :files  string  the master that thins logs, stores numbers, keeps files; expires
"""

from typing import Final

from deployer.protocol.ids import AgentId, node

INSTALLATION: Final = "dpl:installation"
COMPANIES: Final = "dpl:companies"
COMPANY_NAMES: Final = "dpl:companies:names"
COMPANIES_GONE: Final = "dpl:companies:gone"
GRIDS: Final = "dpl:grids"
AGENT_KEYS: Final = "dpl:keys"
DEADLINES: Final = "dpl:deadlines"
WEBHOOKS: Final = "dpl:webhooks"
PLANS: Final = "dpl:plans"
ENDED: Final = "dpl:ended"
PLANS_DUE: Final = "plans"
"""What is said on WAKE when a plan has become due."""
BREACHES: Final = "dpl:breaches"
SCHEDULES: Final = "dpl:schedules"
FIRINGS: Final = "dpl:firings"
REVOKED: Final = "dpl:revoked"
SEEN_ONLINE: Final = "dpl:seen:online"
SEEN_OVERDUE: Final = "dpl:seen:overdue"
AGENT_PREFIX: Final = "dpl:agent:"

MOVER: Final = "dpl:mover"
MASTERS: Final = "dpl:masters"
WEIGHT: Final = "dpl:weight"
WEIGHER: Final = "dpl:weigher"
THINNER: Final = "dpl:thinner"
METRICS_WRITER: Final = "dpl:metrics:writer"
METRIC_FILES: Final = "dpl:metrics:files"
AUDITOR: Final = "dpl:auditor"
PROBE: Final = "dpl:probe"
WAKE: Final = "dpl:wake"
DONE: Final = "dpl:done"
LOGGED: Final = "dpl:log"


def prefix(company: str) -> str:
    """In front of everything that one company has."""
    return f"dpl:c:{company}:"


def company_of(prefix_: str) -> str:
    """The company that `prefix()` is of."""
    return prefix_.removeprefix("dpl:c:").removesuffix(":")


def company(company_id: str) -> str:
    """The record of a company."""
    return f"dpl:company:{company_id}"


def grids(company_id: str) -> str:
    """The grids of a company."""
    return f"{company(company_id)}:grids"


def grid(gid: int) -> str:
    """Which company a grid belongs to."""
    return f"dpl:grid:{gid}"


def token(kid: str) -> str:
    """A user's token by its public id."""
    return f"dpl:token:{kid}"


def join_token(kid: str) -> str:
    """A join token by its public id."""
    return f"dpl:join:{kid}"


def master(id_: str) -> str:
    """The record of a master."""
    return f"dpl:master:{id_}"


def master_exceptions(id_: str) -> str:
    """What nobody handled in a master."""
    return f"{master(id_)}:exceptions"


def kind(key: str) -> str:
    """What a key is about, in a word: `task`, `job`, `log`, `agent`, …; the names of companies are not in it."""
    if key.startswith(("log.", "c:")):
        return "log"
    if key.startswith("cmds_queue"):
        return "cmds_queue"
    parts = key.split(":")
    if parts[0] != "dpl":
        return "other"
    return parts[3] if parts[1] == "c" and len(parts) > 3 else parts[1]  # noqa: PLR2004 (dpl, c, the company, a word)


def webhook(company_id: str, id_: str) -> str:
    """A webhook."""
    return f"{prefix(company_id)}webhook:{id_}"


def events(company_id: str) -> str:
    """The stream of a company's events; what is said on WAKE when there are more."""
    return f"{prefix(company_id)}events"


def annotations(company_id: str) -> str:
    """A company's annotations; with `:last` behind it the number of the last one."""
    return f"{prefix(company_id)}annotations"


def agent(agent_id: AgentId) -> str:
    """The record of an agent; its lists have this in front."""
    return f"{AGENT_PREFIX}{agent_id}"


def current(agent_id: AgentId) -> str:
    """The last numbers of an agent's host and processes."""
    return f"{agent(agent_id)}:current"


def processes(agent_id: AgentId) -> str:
    """What runs on an agent."""
    return f"{agent(agent_id)}:processes"


def monitors(company_id: str, agent_id: AgentId | None = None) -> str:
    """The monitors of a company, or of one of its agents."""
    return f"{prefix(company_id)}monitors" + ("" if agent_id is None else f":{agent_id}")


def monitor(company_id: str, id_: str) -> str:
    """The record of a monitor."""
    return f"{prefix(company_id)}monitor:{id_}"


def schedules(company_id: str) -> str:
    """The schedules of a company."""
    return f"{prefix(company_id)}schedules"


def schedule(company_id: str, id_: str) -> str:
    """The record of a schedule; its lists have this in front."""
    return f"{prefix(company_id)}schedule:{id_}"


def host(agent_id: AgentId) -> str:
    """What the host of an agent is."""
    return f"{agent(agent_id)}:host"


def host_versions(agent_id: AgentId) -> str:
    """How it became so."""
    return f"{host(agent_id)}:versions"


def points(company_id: str) -> str:
    """The stream of a company's numbers over time; their size has `:bytes` behind."""
    return f"{prefix(company_id)}points"


def series(company_id: str) -> str:
    """The names of a company's series, each with how its values are merged and the day it was last fed."""
    return f"{prefix(company_id)}series"


def claim(company_id: str, digest: str) -> str:
    """A request that may come twice."""
    return f"{prefix(company_id)}claim:{digest}"


def claims(company_id: str) -> str:
    """All of them."""
    return f"{prefix(company_id)}claims"


def audit(company_id: str) -> str:
    """The audit log of a company."""
    return f"{prefix(company_id)}audit"


def audit_head(company_id: str) -> str:
    """How far it goes."""
    return f"{audit(company_id)}:head"


def tokens(company_id: str, kind: str) -> str:
    """The public ids of a company's tokens of a kind (dpl, dpj), by their making."""
    return f"{prefix(company_id)}tokens:{kind}"


def waiting(company_id: str) -> str:
    """The fingerprints of agents that wait to be let in."""
    return f"{prefix(company_id)}waiting"


def waiting_agent(company_id: str, fingerprint: str) -> str:
    """An agent that waits."""
    return f"{waiting(company_id)}:{fingerprint}"


def users(company_id: str) -> str:
    """The users of a company, by name."""
    return f"{prefix(company_id)}users"


def user(company_id: str, name: str) -> str:
    """A user."""
    return f"{prefix(company_id)}user:{name}"


def login(digest: str) -> str:
    """A browser's session by the SHA-256 of its secret."""
    return f"dpl:login:{digest}"


def logins(company_id: str, name: str) -> str:
    """The sessions of a user."""
    return f"{prefix(company_id)}logins:{name}"


def session(digest: str) -> str:
    """A session by the SHA-256 of its secret."""
    return f"dpl:session:{digest}"


def used_challenge(challenge: str) -> str:
    """That a challenge was used."""
    return f"dpl:used:{challenge}"


def patterns(company_id: str) -> tuple[str, str]:
    """What finds every key that only one company has, for SCAN."""
    return f"{prefix(company_id)}*", f"c:{company_id}:*"


def job(company_id: str, job_id: str) -> str:
    """A job; its list of tasks has `:tasks` behind."""
    return f"{prefix(company_id)}job:{job_id}"


def task(company_id: str, task_id: str, agent_id: AgentId) -> str:
    """A task: one command for one agent."""
    return f"{prefix(company_id)}task:{task_id}@{agent_id}"


def command_queue(company_id: str | None) -> str:
    """Where programs push commands; `None` is the default company. `_<id>` behind it: where the result comes."""
    return "cmds_queue" if company_id is None else f"c:{company_id}:cmds_queue"


def log_stream(company_id: str | None, domain: str, name: str) -> str:
    """The stream of messages of a domain and name; `None` is the default company."""
    bare = f"log.{node(domain)}.{node(name)}"
    return bare if company_id is None else f"c:{company_id}:{bare}"
