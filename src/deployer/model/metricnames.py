"""What series are called: numbers of agents by gid, nid, domain, name (DESIGN 8). Pure.

`agents.<gid>.<nid>.host.<key>` is the host's, `agents.<gid>.<nid>.jobs.<domain>.<name>.<key>` that of processes. Tags
of a statsd line stand encoded at the end of an agent's key, and become tags of the series.
"""

from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from deployer.model.series import canonical, is_series
from deployer.protocol.ids import AgentId, node

AGENTS: Final = "agents"
MASTERS: Final = "masters"
_TAG: Final = "%3B"


@lru_cache(maxsize=65536)
def agent_series(agent: AgentId, domain: str, name: str, key: str) -> str | None:
    """The series of a point; None when it can be none. Kept: an agent says the same each time."""
    path, _, tags = key.partition(_TAG)
    where = "host" if not domain and not name else f"jobs.{node(domain)}.{node(name)}"
    series = canonical(f"{AGENTS}.{agent.gid}.{agent.nid}.{where}.{path}", _tags(tags) if tags else ())
    if is_series(series):
        return series
    plain = f"{AGENTS}.{agent.gid}.{agent.nid}.{where}.{key}"
    return plain if is_series(plain) else None


def _tags(text: str) -> list[tuple[str, str]]:
    """`a%3Db%3Bc%3Dd`, as `statsd.tag_text` writes it; a tag value is decoded."""
    found = {}
    for part in text.split(_TAG):
        tag, _, value = part.partition("%3D")
        found[unquote(tag)] = unquote(value)
    return sorted(found.items())
