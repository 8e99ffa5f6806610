"""The API describes itself: all that is served, nothing else, and the page made of it is current."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployer.assembly.site import NOUNS, describe_api
from deployer.rest import examples
from deployer.rest.openapi import operation_id, operations
from support.served import Served

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe_api()


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for name, text in value.items() if name == "$ref")
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


async def test_it_is_served_without_a_token(served: Served) -> None:
    answer = await served.ask("GET", "/api/v1/openapi.json", token=None)
    assert answer.status == 200
    assert answer.json["openapi"] == "3.1.0"
    assert all(path.startswith("/api/v1/") for path in answer.json["paths"])


def test_every_route_of_the_api_is_described_once(document: dict[str, Any]) -> None:
    texts = [path.read_text() for path in (ROOT / "src/deployer/rest").glob("*.py")]
    declared = {match for text in texts for match in re.findall(r'@endpoint\(\s*"([A-Z]+)",\s*"(/api/v1[^"]*)"', text)}
    described = {(one.declaration.method, one.declaration.path) for one in operations(NOUNS)}
    assert described == declared
    ids = [its["operationId"] for methods in document["paths"].values() for its in methods.values()]
    assert len(ids) == len(set(ids)) == len(declared)
    assert all(its["summary"] for methods in document["paths"].values() for its in methods.values())


def test_every_reference_is_there(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_all_but_the_public_ask_for_a_token(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for its in methods.values():
            assert ("security" in its) == (its["x-permission"] != "public")


def test_names_of_operations_are_plain() -> None:
    assert operation_id("JobLogRoutes.read") == "job_log_read"


def test_the_page_is_current() -> None:
    done = subprocess.run([sys.executable, "tools/restdocs.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "docs/rest-api.md is old: run tools/restdocs.py"


def test_every_body_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    bodies = {one.declaration.body for one in operations(NOUNS)} - {None}
    assert {body.__name__ for body in bodies if body} == set(examples.BODIES)
    for body in bodies:
        if body is not None:
            msgspec.json.decode(msgspec.json.encode(examples.BODIES[body.__name__]), type=body)
    named = {name for path in document["paths"] for name in re.findall("{([a-z_]+)}", path)}
    assert named == set(examples.PATHS)


def test_patterns_are_those_of_json_schema(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "\\\\Z" not in text
    assert "\\\\ud800" not in text
