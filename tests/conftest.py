"""Fixtures and rules for every test."""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from support.failures import LoggedFailures, watch

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def logged_failures() -> Iterator[LoggedFailures]:
    with watch() as seen:
        yield seen


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:
    """Let `async def test_…` run in the reactor without a decorator on each."""
    if name.startswith("test_") and inspect.iscoroutinefunction(obj) and not hasattr(obj, "__wrapped__"):
        setattr(collector.obj, name, pytest_twisted.ensureDeferred(obj))  # type: ignore[attr-defined]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("-m"):
        return
    chosen = [item for item in items if "long" not in item.keywords]
    config.hook.pytest_deselected(items=[item for item in items if "long" in item.keywords])
    items[:] = chosen


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Under CI=true a skipped test is a failure: CI has every component or says so."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
