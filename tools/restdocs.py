"""Write docs/rest-api.md and docs/commands.md from what the code declares; `--check` tells whether they are current."""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "rest-api.md"
COMMANDS = ROOT / "docs" / "commands.md"
ABOUT = {
    "execute": "Run a program, or a line of the shell.",
    "execute_js_py": "Run a Python script of the company's library, or of the agent's host.",
    "execute_js_lua": "The same in Lua.",
    "ping": "Answer.",
    "kill": "End a task, or send its process a signal.",
    "killall": "End all that runs on the agent.",
    "restart": "End the agent, which its supervisor starts again; what it remembers goes on.",
    "get_process_stats": "What one task consumes.",
    "get_processes_stats": "What each task consumes.",
    "get_aggregated_stats": "What all tasks consume together.",
    "get_msgs": "Messages that the agent keeps.",
    "del_msgs": "Delete messages that the agent keeps.",
    "get_cpu_info": "The host's processors.",
    "get_mem_info": "The host's memory.",
    "get_disk_info": "The host's file systems.",
    "get_nic_info": "The host's network interfaces.",
    "get_os_info": "The host's operating system.",
}
COMMANDS_HEAD = """# Commands

What `cmd` of a job may be, and its `args`. An agent's own file may define more (`[extensions]`, docs/agent.md). Each
has `domain` and `name` too, which say under what its messages and numbers are found. Made by `tools/restdocs.py`.

    deployer run -t 1:1 --max-time 60 -- systemctl restart nginx
    curl -H "Authorization: Bearer $T" -H "Content-Type: application/json" "$U/api/v1/jobs?wait=30" -d '{
      "cmd": "execute", "target": "1:1", "args": {"cmd": "systemctl", "args": ["restart", "nginx"], "max_time": 60}}'

## Levels

A line that a process prints is a message of level 1, on stderr of level 2. A line that begins with `N::` is one of
level N, and what stands between a line `N:::` and a line `:::` is one of many lines.

| level | what it is |
| --- | --- |
| 1, 2 | stdout, stderr |
| 3 | for everybody |
| 4 | for the operator |
| 5, 6 | log; structured log (JSON with `cat`) |
| 7 | warning |
| 8 | error of operations |
| 9 | critical; what the agent and monitors tell of their own |
| 10 | statsd: `10::hits:3\\|c` |
| 11 | debug |
| 20, 21, 22, 23 | the job's result as JSON, YAML, TOML, HRD; the last one counts |
| 30 | a job's result that is another job |

## By Redis

`RPUSH cmds_queue` with a document of `id`, `gid`, `nid`, `cmd`, `args` and `data` runs a command on agent
`gid:nid`, where the master is set to take them (`redis_commands`); its result is `BLPOP`ed from `cmds_queue_<id>`,
where it waits for a day. Another company than the installation's first has `c:<company's id>:` before both names.

    RPUSH cmds_queue '{"id": "q1", "gid": 1, "nid": 1, "cmd": "execute", "args": {"cmd": "/bin/date"}}'
    BLPOP cmds_queue_q1 30
"""
HEAD = """# The REST API

Made from the API's own description (`GET /api/v1/openapi.json`, OpenAPI 3.1) by `tools/restdocs.py`.

JSON in UTF-8 throughout, `Authorization: Bearer <token>`. Errors are `application/problem+json` (RFC 9457) with `type`,
`title`, `status`, `detail`, `request_id` and, for what does not fit, `errors` with JSON pointers. 429 and 503 carry
`Retry-After`. What belongs to another company is 404, as what does not exist. Lists have `items` and `next`, which is
given back as `?cursor=`, and is null at the end. Times are ISO 8601 in UTC.
"""


def description() -> dict[str, Any]:
    """The document, without a running master."""
    sys.path.insert(0, str(ROOT / "src"))
    from deployer.assembly.site import describe_api  # noqa: PLC0415 (after the path is set)

    return json.loads(json.dumps(describe_api()))


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    parts = [HEAD]
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, its in methods.items():
            by_tag.setdefault(its["tags"][0], []).append(operation(method.upper(), path, its))
    parts += [f"## {tag}\n\n" + "\n".join(texts) for tag, texts in sorted(by_tag.items())]
    schemas = document["components"]["schemas"]
    parts.append("## Records\n\n" + "\n".join(record(name, its) for name, its in schemas.items()))
    return "\n".join(parts)


def operation(method: str, path: str, its: dict[str, Any]) -> str:
    """One of them."""
    lines = [f"### `{method} {path}`", "", its["summary"], ""]
    lines += [its["description"], ""] if "description" in its else []
    lines.append(f"* needs: {its['x-permission']}")
    queries = [one for one in its["parameters"] if one["in"] == "query"]
    if queries:
        lines.append("* query: " + ", ".join(f"`{one['name']}` ({kind(one['schema'])})" for one in queries))
    if "requestBody" in its:
        content = its["requestBody"]["content"]
        lines.append("* body: " + ", ".join(f"{media}, {kind(one['schema'])}" for media, one in content.items()))
    good = {status: one for status, one in its["responses"].items() if status != "default"}
    media = next(iter(good.values()))["content"]
    answers = ", ".join(f"{kind(one['schema'])} ({name})" for name, one in media.items())
    lines.append(f"* answers {' or '.join(good)}: {answers}")
    return "\n".join([*lines, ""])


def record(name: str, its: dict[str, Any]) -> str:
    """A table of its fields."""
    lines = [f"### {name}", "", *([its["description"], ""] if "description" in its else [])]
    if "properties" in its:
        required = set(its.get("required", ()))
        lines += ["| field | |", "| --- | --- |"]
        for field, schema in its["properties"].items():
            usual = "" if field in required else f", default `{json.dumps(schema.get('default'))}`"
            lines.append(f"| `{field}` | {kind(schema).replace('|', chr(92) + '|')}{usual} |")
    return "\n".join([*lines, ""])


def kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(kind(one) for one in schema[word])
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type") or "anything")


def commands() -> str:
    """The page of all commands with their arguments."""
    import msgspec  # noqa: PLC0415 (after the path is set)

    from deployer.protocol.commands import ARGUMENTS, SCRIPT_COMMANDS, RunArgs  # noqa: PLC0415 (the same)
    from deployer.protocol.scripts import ScriptArgs  # noqa: PLC0415 (the same)

    known = {**ARGUMENTS, **dict.fromkeys(sorted(SCRIPT_COMMANDS), ScriptArgs)}
    _, components = msgspec.json.schema_components(set(known.values()), ref_template="#/{name}")
    parts = [COMMANDS_HEAD]
    for name, kind_ in sorted(known.items()):
        its = components[kind_.__name__]
        table = [] if kind_.__name__ == "NoArgs" else record(kind_.__name__, its).split("\n")[2:]
        how = [inspect.cleandoc(RunArgs.__doc__ or ""), ""] if issubclass(kind_, RunArgs) else []
        parts.append("\n".join([f"## {name}", "", ABOUT[name], "", *how, *table]).rstrip() + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write, or compare."""
    pages = {PAGE: page(description()), COMMANDS: commands()}
    if "--check" in sys.argv[1:]:
        return int(any(not path.exists() or path.read_text() != text for path, text in pages.items()))
    for path, text in pages.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
