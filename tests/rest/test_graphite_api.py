"""What Grafana's built-in Graphite data source asks, over HTTP."""

import base64
import time
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from deployer.model.access import Role
from deployer.model.series import Series
from support.seeded import COMPANY
from support.served import Reply, Served

NOW = int(time.time()) // 60 * 60
START = NOW - 3600
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def series(name: str, value: float = 1.0, count: int = 120) -> Series:
    return Series(name, START, 30, [value] * count)


@pytest.fixture(autouse=True)
def filled(served: Served) -> None:
    served.source.put(
        COMPANY,
        series("agents.1.7.host.cpu", 7),
        series("agents.1.8.host.cpu", 8),
        series("agents.1.8.jobs.web.nginx.rss", 1024),
        series("stats.gauges.a", 3),
        series("requests;dc=north;host=a1", 1),
        series("requests;dc=south;host=b1", 2),
    )
    served.source.put("other", series("secret.series"), series("hidden;dc=east"))


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def post(served: Served, path: str, *fields: tuple[str, Any], **more: Any) -> Reply:
    headers = {**FORM, **more.pop("headers", {})}
    return await served.ask("POST", f"/graphite/{path}", data=urlencode(fields).encode(), headers=headers, **more)


async def get(served: Served, path: str, *fields: tuple[str, Any], **more: Any) -> Reply:
    return await served.ask("GET", f"/graphite/{path}?{urlencode(fields)}", **more)


async def render(served: Served, *targets: str, **more: Any) -> Reply:
    fields = [("target", one) for one in targets]
    return await post(served, "render", *fields, ("from", START), ("until", NOW), ("format", "json"), **more)


async def test_save_and_test_is_answered(served: Served) -> None:
    fields = (("target", "constantLine(100)"), ("from", "-1h"), ("until", "now"), ("format", "json"))
    for ask in (post, get):
        reply = await ask(served, "render", *fields, ("maxDataPoints", 300))
        assert (reply.status, reply.header("content-type")) == (200, "application/json")
        (one,) = reply.json
        assert (one["target"], [value for value, _ in one["datapoints"]]) == ("100", [100, 100, 100])
        assert reply.header("x-content-type-options") == "nosniff"
    assert (await get(served, "version")).json == "1.1.10"


async def test_a_panel_gets_its_series_as_grafana_wraps_them(served: Served) -> None:
    wrapped = r'aliasSub(aliasByNode(agents.1.*.host.cpu, 2), "(^.*$)", "\1 A")'
    reply = await render(served, wrapped, r'aliasSub(sumSeries(agents.*.*.host.cpu), "(^.*$)", "\1 B")')
    assert [one["target"] for one in reply.json] == ["7 A", "8 A", "sumSeries(agents.*.*.host.cpu) B"]
    assert reply.json[0]["tags"] == {"name": "agents.1.7.host.cpu"}
    assert reply.json[2]["datapoints"][:2] == [[15, START], [15, START + 30]]
    assert len(reply.json[2]["datapoints"]) == 120


async def test_points_are_no_more_than_can_be_drawn(served: Served) -> None:
    reply = await post(
        served, "render", ("target", "agents.1.7.host.cpu"), ("from", START), ("until", NOW), ("maxDataPoints", 10)
    )
    assert len(reply.json[0]["datapoints"]) <= 10


async def test_missing_points_are_null(served: Served) -> None:
    fields = (("target", "agents.1.7.host.cpu"), ("from", START - 60), ("until", START + 60))
    assert [value for value, _ in (await get(served, "render", *fields)).json[0]["datapoints"]] == [None, None, 7, 7]
    shown = (await get(served, "render", *fields, ("noNullPoints", "true"))).json[0]["datapoints"]
    assert shown == [[7, START], [7, START + 30]]
    raw = await get(served, "render", *fields, ("format", "raw"))
    assert raw.body == f"agents.1.7.host.cpu,{START - 60},{START + 60},30|None,None,7.0,7.0\n".encode()


async def test_series_by_tag_have_their_tags(served: Served) -> None:
    reply = await render(served, "seriesByTag('name=requests', 'dc=~nor.*')")
    assert [(one["target"], one["tags"]) for one in reply.json] == [
        ("requests;dc=north;host=a1", {"name": "requests", "dc": "north", "host": "a1"})
    ]


async def test_paths_are_found_level_by_level(served: Served) -> None:
    top = {"allowChildren": 1, "expandable": 1, "leaf": 0, "context": {}}
    for reply in (
        await post(served, "metrics/find", ("query", "*")),
        await get(served, "metrics/find", ("query", "*")),
    ):
        assert reply.json == [{"text": "agents", "id": "agents", **top}, {"text": "stats", "id": "stats", **top}]
    reply = await post(served, "metrics/find?from=-1h&until=now", ("query", "agents.1.*.host.*"))
    assert reply.json == [
        {"text": "cpu", "id": "agents.1.*.host.cpu", "allowChildren": 0, "expandable": 0, "leaf": 1, "context": {}}
    ]
    completed = (await get(served, "metrics/find", ("query", "stats.gau"), ("format", "completer"))).json
    assert completed == {"metrics": [{"path": "stats.gauges.", "name": "gauges", "is_leaf": "0"}]}


async def test_patterns_are_expanded(served: Served) -> None:
    reply = await get(served, "metrics/expand", ("query", "agents.1.*.host.cpu"), ("query", "stats.*"))
    assert reply.json == {"results": ["agents.1.7.host.cpu", "agents.1.8.host.cpu", "stats.gauges"]}
    reply = await get(served, "metrics/expand", ("query", "stats.*"), ("leavesOnly", "1"), ("groupByExpr", "1"))
    assert reply.json == {"results": {"stats.*": []}}
    assert len((await get(served, "metrics/index.json")).json) == 4


async def test_functions_are_described(served: Served) -> None:
    its = (await get(served, "functions")).json
    assert its["aliasByNode"] == {
        "name": "aliasByNode",
        "function": "aliasByNode(seriesList, *nodes)",
        "description": "Call series by parts of their paths, counted from 0, or by values of tags.",
        "module": "graphite.render.functions",
        "group": "Alias",
        "params": [
            {"name": "seriesList", "type": "seriesList", "required": True},
            {"name": "nodes", "type": "nodeOrTag", "required": True, "multiple": True},
        ],
    }
    assert (await get(served, "functions/aliasByNode")).json == its["aliasByNode"]
    assert "aliasByNode" in (await get(served, "functions", ("grouped", 1))).json["Alias"]
    assert (await get(served, "functions/none")).status == 404


async def test_tags_are_listed_and_completed(served: Served) -> None:
    assert (await get(served, "tags")).json == [{"tag": "dc"}, {"tag": "host"}, {"tag": "name"}]
    assert (await get(served, "tags", ("filter", "d"))).json == [{"tag": "dc"}]
    assert (await get(served, "tags/dc")).json == {
        "tag": "dc",
        "values": [{"value": "north", "count": 1}, {"value": "south", "count": 1}],
    }
    found = (await get(served, "tags/findSeries", ("expr", "name=requests"), ("expr", "dc=south"))).json
    assert found == ["requests;dc=south;host=b1"]
    assert (await get(served, "tags/autoComplete/tags", ("tagPrefix", "d"))).json == ["dc"]
    assert (await get(served, "tags/autoComplete/tags", ("expr", "name=requests"))).json == ["dc", "host"]
    values = (("expr", "dc=~.*th"), ("tag", "host"), ("valuePrefix", "b"))
    assert (await get(served, "tags/autoComplete/values", *values)).json == ["b1"]
    assert (await get(served, "tags/autoComplete/values", ("tag", "host"), ("limit", 1))).json == ["a1"]


async def test_events_are_kept_and_found_by_time_and_tag(served: Served) -> None:
    new = {"what": "deploy", "tags": ["web", "v2"], "data": "by eve", "when": START}
    made = await served.ask("POST", "/graphite/events/", json=new)
    assert made.json == {"id": 1, **new}
    await served.ask("POST", "/graphite/events/", json={"what": "other", "tags": "db v2"})
    asked = (("from", START - 60), ("until", "now+1h"))
    assert [one["what"] for one in (await get(served, "events/get_data", *asked)).json] == ["other", "deploy"]
    assert (await get(served, "events/get_data", *asked, ("tags", "web v2"))).json == [made.json]
    assert (await get(served, "events/get_data", *asked, ("tags", "web db"))).json == []
    assert len((await get(served, "events/get_data", *asked, ("tags", "web db"), ("set", "union"))).json) == 2
    assert (await get(served, "events/get_data", ("from", START + 60), ("until", START + 120))).json == []
    foreign = await served.token_of("olga", Role.OWNER, "other")
    assert (await get(served, "events/get_data", *asked, token=foreign)).json == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"what": ""}, 422), ({"what": "x" * 501}, 422), ({"what": "x", "tags": ["a"] * 33}, 422), ({}, 422), ([], 422),
        ({"what": "x", "when": -1}, 422), ({"what": "x", "data": "y" * 2001}, 422), ({"what": "x", "tags": 5}, 422),
    ],
)  # fmt: skip
async def test_what_is_no_event_is_refused(served: Served, body: Any, status: int) -> None:
    assert (await served.ask("POST", "/graphite/events/", json=body)).status == status


READING = [
    "render?target=agents.1.7.host.cpu", "metrics/find?query=*", "metrics/expand?query=*", "metrics/index.json",
    "functions", "functions/scale", "version", "tags", "tags/dc", "tags/findSeries?expr=dc=north",
    "tags/autoComplete/tags", "tags/autoComplete/values?tag=dc", "events/get_data", "events",
]  # fmt: skip


async def test_nobody_is_answered_without_a_token_and_a_cookie_is_none(served: Served) -> None:
    for path in READING:
        for more in ({}, {"headers": {"Cookie": "deployer=x"}}, {"headers": basic("x", "y")}):
            reply = await served.ask("GET", f"/graphite/{path}", token=None, **more)
            assert (reply.status, reply.code) == (401, "unauthorized"), path
            assert str(reply.header("www-authenticate")).startswith("Basic realm=")
        assert (await served.ask("GET", f"/graphite/{path}", token="dpl_x_y")).status == 401
    assert (await served.ask("POST", "/graphite/events/", token=None, json={"what": "x"})).status == 401


async def test_a_session_of_a_browser_opens_nothing_here(served: Served) -> None:
    name, password = "eve", "correct horse battery"
    assert (await served.ask("POST", "/api/v1/users", json={"name": name, "role": "viewer"})).status == 201
    assert (await served.ask("PUT", f"/api/v1/users/{name}/password", json={"password": password})).status in {200, 204}
    login = await served.ask("POST", "/api/v1/session", token=None, json={"user": name, "password": password})
    cookie = str(login.header("set-cookie")).partition(";")[0]
    assert (await served.ask("GET", "/api/v1/session", token=None, headers={"Cookie": cookie})).status == 200
    assert (await served.ask("GET", "/graphite/version", token=None, headers={"Cookie": cookie})).status == 401


async def test_the_token_may_be_a_basic_password(served: Served) -> None:
    token = served.seeded.admin.text
    _, kid, secret = token.split("_", 2)
    for user, password in (("", token), ("anybody", token), (kid, secret)):
        assert (await served.ask("GET", "/graphite/version", token=None, headers=basic(user, password))).status == 200
    for user, password in ((kid, "wrong"), ("x", secret), (kid, "")):
        assert (await served.ask("GET", "/graphite/version", token=None, headers=basic(user, password))).status == 401
    assert (
        await served.ask("GET", "/graphite/version", token=None, headers={"Authorization": "Basic %%"})
    ).status == 401
    assert (await served.ask("GET", "/api/v1/user", token=None, headers=basic("x", token))).status == 401


@pytest.mark.parametrize("role", Role)
async def test_all_roles_read_and_operators_add_events(served: Served, role: Role) -> None:
    token = await served.token_of("sam", role)
    for path in READING:
        assert (await served.ask("GET", f"/graphite/{path}", token=token)).status == 200, path
    added = await served.ask("POST", "/graphite/events/", token=token, json={"what": "x"})
    assert added.status == (403 if role is Role.VIEWER else 200)


async def test_another_company_sees_only_its_own(served: Served) -> None:
    token = await served.token_of("olga", Role.OWNER, "other")
    for target in ("agents.*.*.host.cpu", "stats.gauges.a", "seriesByTag('name=requests')", "*", "{stats,agents}.*.*"):
        assert (await render(served, target, token=token)).json == []
    assert (await get(served, "metrics/find", ("query", "*"), token=token)).json[0]["id"] == "secret"
    assert (await get(served, "metrics/index.json", token=token)).json == ["secret.series"]
    assert (await get(served, "tags", token=token)).json == [{"tag": "dc"}, {"tag": "name"}]
    assert (await get(served, "tags/host", token=token)).json == {"tag": "host", "values": []}
    assert (await get(served, "tags/findSeries", ("expr", "dc=~.*th"), token=token)).json == []
    assert [one["target"] for one in (await render(served, "secret.series", "*.*", token=token)).json] == [
        "secret.series"
    ] * 2
    assert {company for company, *_ in served.source.asked} == {"other"}


async def test_a_user_of_some_agents_sees_the_series_of_those(served: Served) -> None:
    limited = {"name": "ann", "role": "operator", "agents": ["1:8"]}
    assert (await served.ask("POST", "/api/v1/users", json=limited)).status == 201
    made = (await served.ask("POST", "/api/v1/tokens", json={"name": "t", "user": "ann"})).json
    token = made["token"]
    assert (await get(served, "metrics/index.json", token=token)).json == [
        "agents.1.8.host.cpu",
        "agents.1.8.jobs.web.nginx.rss",
    ]
    targets = ("agents.*.*.host.cpu", "stats.gauges.a", "seriesByTag('name=requests')", "agents.1.7.host.cpu")
    assert [one["target"] for one in (await render(served, *targets, token=token)).json] == ["agents.1.8.host.cpu"]
    assert (await get(served, "tags", token=token)).json == [{"tag": "name"}]
    await served.ask("POST", "/graphite/events/", json={"what": "x"})
    assert (await get(served, "events/get_data", token=token)).json == []
    assert (await served.ask("POST", "/graphite/events/", token=token, json={"what": "x"})).status == 403


@pytest.mark.parametrize(
    "target",
    [
        "nope(agents.1.7.host.cpu)", "scale(",
        "sum(" * 100 + "a" + ")" * 100, ".".join("*" * 10_000), "a{" + "b," * 5000 + "}",
        "grep(agents.*.*.host.cpu, '(?=a)')", r"aliasSub(agents.*.*.host.cpu, '(a)\1', '')", "randomWalk('x', 1)",
        "summarize(constantLine(1), '1s')", "scale(agents.1.7.host.cpu, 1e999)",
    ],
)  # fmt: skip
async def test_a_target_that_cannot_be_answered_says_why(served: Served, target: str) -> None:
    fields = (("target", target), ("from", "-10y"), ("until", "now"))
    reply = await post(served, "render", *fields)
    assert (reply.status, reply.code) == (400, "malformed")
    assert len(reply.json["detail"]) < 1000


async def test_a_regular_expression_that_backtracks_elsewhere_is_answered(served: Served) -> None:
    name = "a" * 200
    served.source.put(COMPANY, series(f"x.{name}"))
    reply = await render(served, f"grep(x.{name}, '^x.(a+)+$|(a|a)*b')", f"aliasSub(x.{name}, '(a*)*c', '')")
    assert [one["target"] for one in reply.json] == [f"x.{name}"] * 2


async def test_too_many_series_are_refused(served: Served) -> None:
    served.source.put(COMPANY, *(series(f"many.{one}", count=1) for one in range(1001)))
    reply = await render(served, "many.*")
    assert reply.status == 400
    assert "narrow the pattern" in reply.json["detail"]
    assert len((await render(served, "many.1*")).json) == 112


async def test_targets_that_are_long_together_are_refused(served: Served) -> None:
    assert (await render(served, *["sum(" + "a," * 900 + "a)"] * 30)).status == 400


async def test_windows_in_windows_of_many_series_cost_what_they_may(served: Served) -> None:
    target = "movingAverage(" * 30 + "sum(" + "stats.gauges.a," * 400 + "a)" + ",5)" * 30
    assert (await render(served, *[target] * 4)).status in {200, 400}


async def test_a_long_time_is_read_in_wide_steps(served: Served) -> None:
    reply = await post(served, "render", ("target", "agents.1.7.host.cpu"), ("from", "-10y"), ("until", "now"))
    assert reply.status == 200
    assert len(reply.json[0]["datapoints"]) <= 11_000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("render?target=a&from=x", 400), ("render?target=a&from=now&until=-1h", 400),
        ("render?target=a&maxDataPoints=0", 400),
        ("render?target=a&maxDataPoints=x", 400), ("render?target=a&format=png", 400), ("render?target=%ff", 400),
        ("render?" + "target=a&" * 101, 400), ("metrics/find", 400), ("metrics/find?query=a&format=x", 400),
        ("metrics/expand", 400), ("tags/findSeries", 400), ("tags/findSeries?expr=dc", 400), ("tags?filter=(", 400),
        ("tags/autoComplete/tags?limit=x", 400), ("render/x", 404), ("", 404), ("none", 404), ("tags/a/b", 404),
        ("events/get_data?from=NaN", 400), ("render", 200), ("render/", 200), ("tags/", 200),
        (f"metrics/find?query={quote('*.' * 33)}", 400), ("render?target=", 200),
    ],
)  # fmt: skip
async def test_what_is_asked_wrongly_is_refused(served: Served, path: str, status: int) -> None:
    reply = await served.ask("GET", f"/graphite/{path}")
    assert reply.status == status
    if status >= 400:
        assert reply.code in {"malformed", "not_found"}


async def test_bodies_and_methods_that_are_not_taken_are_refused(served: Served) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        reply = await served.ask(method, "/graphite/render")
        assert (reply.status, reply.header("allow")) == (405, "GET, POST")
    text = {"Content-Type": "text/plain"}
    assert (await served.ask("POST", "/graphite/render", data=b"target=a", headers=text)).status == 415
    packed = {**FORM, "Content-Encoding": "gzip"}
    assert (await served.ask("POST", "/graphite/render", data=b"target=a", headers=packed)).status == 415
    for body in (b"target=%ff", b"target=\xff", b"&".join([b"target=a"] * 2000)):
        assert (await served.ask("POST", "/graphite/render", data=body, headers=FORM)).status == 400
    assert (await served.ask("POST", "/graphite/events/", data=b"what=a", headers=FORM)).status == 400
    event = b'{"what": "deploy", "tags": ["a"]}'
    assert (await served.ask("POST", "/graphite/events/", data=event, headers=FORM)).status == 200


async def test_requests_are_measured_by_route(served: Served) -> None:
    await render(served, "stats.gauges.a")
    await get(served, "tags/dc")
    routes = {(one.method, one.route) for one in served.meter.routes()}
    assert {("POST", "/graphite/render"), ("GET", "/graphite/tags/<name>")} <= routes
