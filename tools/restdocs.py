"""Write docs/rest-api.md from the API's own description; `--check` tells by the exit status whether it is current."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "rest-api.md"
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


def main() -> int:
    """Write, or compare."""
    text = page(description())
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
