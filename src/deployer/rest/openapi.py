"""OpenAPI 3.1 from the declarations themselves: what is documented is what is served (DESIGN 7)."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from deployer.model.access import Permission
from deployer.rest import examples
from deployer.rest.answers import Stream
from deployer.rest.endpoint import Declaration, NoQuery
from deployer.rest.expansion import PARAMETER, expandable
from deployer.rest.problems import Problem

PREFIX: Final = "/api/v1"
_PART: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = "application/problem+json"
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag as it was read: 412 when it is another one now.",
    "schema": {"type": "string"},
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "A request that comes again with the same key within a day is done once and answered as it was;"
        " the key of a job is its id, where the body has none."
    ),
    "schema": {"type": "string", "pattern": '^[ \\t]*"?[A-Za-z0-9._-]{1,128}"?[ \\t]*$'},
}
_REMARK: Final = (
    "Errors are problems (RFC 9457). Times are ISO 8601 in UTC. Lists have a cursor: give `next` back as `?cursor=`,"
    " until it is null."
)


class Operation(Struct, frozen=True):
    """A declaration with the handler's name and words."""

    name: str
    text: str
    declaration: Declaration

    @property
    def path(self) -> str:
        """With `{names}`."""
        return _PART.sub(r"{\1}", self.declaration.path)


def operations(nouns: Iterable[type]) -> list[Operation]:
    """What classes of handlers declare, as far as it is documented, in the order of the paths."""
    handlers = [(f"{noun.__name__}.{name}", getattr(noun, name)) for noun in nouns for name in dir(noun)]
    declared = [(name, handler) for name, handler in handlers if hasattr(handler, "declaration")]
    found = [Operation(name, inspect.getdoc(handler) or "", handler.declaration) for name, handler in declared]
    return sorted((one for one in found if one.path.startswith(PREFIX)), key=lambda one: (one.path, one.name))


def document(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """The whole document."""
    every = list(operations)
    kinds = list(dict.fromkeys(kind for one in every for kind in _kinds(one.declaration)))
    schemas, components = msgspec.json.schema_components([*kinds, Problem], ref_template=_REF)
    by_kind = dict(zip(map(_key, [*kinds, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in every:
        paths.setdefault(one.path, {})[one.declaration.method.lower()] = _operation(one, by_kind, components)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "Deployer", "version": version, "description": _REMARK},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _without_queries(components, every),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "dpl_<id>_<secret>"}},
        },
    }
    described: dict[str, Any] = _ecma(whole)
    return described


def _ecma(part: Any) -> Any:
    r"""With patterns as JSON Schema has them: Python's `\Z` is `$` there, and a string has no lone surrogates."""
    if isinstance(part, list):
        return [_ecma(one) for one in part]
    if not isinstance(part, dict):
        return part
    done = {name: _ecma(one) for name, one in part.items()}
    if isinstance(pattern := done.get("pattern"), str):
        done["pattern"] = pattern.replace("\\Z", "$").replace("\\ud800-\\udfff", "")
    return done


def _kinds(its: Declaration) -> list[Any]:
    return [kind for kind in (its.returns, its.body, its.query) if kind not in {None, NoQuery, Stream}]


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(one: Operation, schemas: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    its = one.declaration
    first, _, more = one.text.partition("\n")
    described: dict[str, Any] = {
        "operationId": operation_id(one.name),
        "tags": [one.path.removeprefix(PREFIX).split("/")[1]],
        "summary": first,
        "parameters": [
            *_path_parameters(one.path),
            *_query_parameters(its.query, schemas, components),
            *_expand_parameter(its),
            *([_IF_MATCH] if its.conditional else []),
            *([_IDEMPOTENCY_KEY] if its.method == "POST" and its.needs is not Permission.PUBLIC else []),
        ],
        "responses": _responses(its, schemas),
        "x-permission": its.needs.name.lower(),
    }
    if more.strip():
        described["description"] = more.strip()
    if its.needs is not Permission.PUBLIC:
        described["security"] = [{"token": []}]
    body = _body(its, schemas)
    return described | ({"requestBody": {"required": True, "content": body}} if body else {})


def operation_id(name: str) -> str:
    """`JobRoutes.submit` becomes `job_submit`."""
    noun, _, verb = name.partition(".")
    return f"{re.sub(r'(?<!^)(?=[A-Z])', '_', noun.removesuffix('Routes')).lower()}_{verb}"


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            **({"example": examples.PATHS[name]} if name in examples.PATHS else {}),
        }
        for name in names
    ]


def _query_parameters(
    query: type[Struct], schemas: Mapping[str, Any], components: Mapping[str, Any]
) -> list[dict[str, Any]]:
    if query is NoQuery:
        return []
    schema = components[schemas[_key(query)]["$ref"].rpartition("/")[2]]
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": its}
        for name, its in schema["properties"].items()
    ]


def _expand_parameter(its: Declaration) -> list[dict[str, Any]]:
    names = sorted(expandable(its.returns)) if its.method == "GET" and not its.streams else []
    if not names:
        return []
    schema = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1}
    text = "References in whose place is to stand what they refer to, as far as the caller may see it."
    described = {"name": PARAMETER, "in": "query", "required": False, "description": text, "schema": schema}
    return [{**described, "style": "form", "explode": False}]


def _responses(its: Declaration, schemas: Mapping[str, Any]) -> dict[str, Any]:
    if its.returns is Stream:
        content: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": schemas[_key(its.returns)]}}
    if its.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    problem = {"description": "What is wrong.", "content": {_PROBLEM: {"schema": schemas[_key(Problem)]}}}
    good = {str(status): {"description": "It is done.", "content": content} for status in its.statuses}
    return {**good, "default": problem}


def _body(its: Declaration, schemas: Mapping[str, Any]) -> dict[str, Any]:
    if its.text:
        return {"text/plain": {"schema": {"type": "string"}, "example": examples.TEXT}}
    if its.body is None:
        return {}
    known = examples.BODIES.get(its.body.__name__)
    shown = {} if known is None else {"example": known}
    return {"application/json": {"schema": schemas[_key(its.body)], **shown}}


def _without_queries(components: Mapping[str, Any], every: Iterable[Operation]) -> dict[str, Any]:
    queries = {one.declaration.query.__name__ for one in every}
    return {name: schema for name, schema in sorted(components.items()) if name not in queries}
