"""What a master tells of itself to Prometheus."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from deployer.kit.lag import EVERY_S, Lag
from support.served import Served


async def numbers(served: Served) -> dict[tuple[str, ...], float]:
    answer = await served.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.body.decode())
    return {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}


async def test_requests_are_counted_by_route_method_and_status(served: Served) -> None:
    await served.ask("GET", "/api/v1/jobs/none")
    await served.ask("GET", "/api/v1/jobs/other")
    await served.ask("POST", "/api/v1/jobs", json={})
    seen = await numbers(served)
    assert seen["deployer_http_requests_total", "/api/v1/jobs/<job>", "404", "GET"] == 2
    assert seen["deployer_http_requests_total", "/api/v1/jobs", "422", "POST"] == 1
    assert seen["deployer_http_request_seconds_count", "/api/v1/jobs/<job>"] == 2


async def test_the_routes_of_agents_are_counted_too(served: Served) -> None:
    await served.ask("GET", "/1/1/cmd", token=None)
    seen = await numbers(served)
    assert seen["deployer_http_requests_total", "/<gid>/<nid>/cmd", "401", "GET"] == 1
    assert ("deployer_agent_intake_total", "points_accepted") in seen


async def test_no_name_that_a_client_chose_is_a_label(served: Served) -> None:
    for number in range(20):
        await served.ask("GET", f"/api/v1/jobs/j{number}")
        await served.ask("GET", f"/nothing/{number}")
    labels = {label for name in await numbers(served) for label in name[1:]}
    assert not [label for label in labels if "j1" in label or "nothing" in label]


async def test_only_an_admin_may_look(served: Served) -> None:
    assert (await served.ask("GET", "/metrics", token=None)).status == 401


def test_lag_is_the_worst_of_late_and_fades() -> None:
    clock = Clock()
    lag = Lag(clock)
    lag.startService()
    clock.advance(EVERY_S)
    assert lag.worst == 0
    clock.advance(EVERY_S + 2)
    assert lag.worst == 2
    clock.advance(EVERY_S)
    assert 1 < lag.worst < 2
    lag.stopService()
    assert clock.getDelayedCalls() == []


async def test_every_metric_is_in_the_documentation(served: Served) -> None:
    text = (await served.ask("GET", "/metrics")).body.decode()
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    names = set(re.findall(r"^# TYPE (deployer_\w+) (?:counter|gauge|histogram)$", text, re.MULTILINE))
    names = {name.removesuffix("_created") for name in names}
    assert len(names) > 5
    assert [name for name in sorted(names) if f"`{name}`" not in page and f"`{name}_total`" not in page] == []
