"""The dashboards and the data source in etc/grafana: every target finds something among the series that agents make."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.catalog import Catalog
from deployer.model.graphite.evaluate import Need, evaluate, needs
from deployer.model.graphite.expression import parse
from deployer.model.graphite.lines import Line
from deployer.model.series import Series, is_series
from deployer_agent.stats.host import CpuParts, DiskIo, FileSystem, HostUsage, MemoryUse, NetworkIo
from deployer_agent.stats.points import host_points, process_points
from deployer_agent.stats.usage import Consumption
from support.memory_source import MemorySource

GRAFANA = Path(__file__).parents[3] / "etc" / "grafana"
START = 1_700_000_040
NETWORK = NetworkIo(1, 1, 1, 1, 1, 1, 1, 1)
USAGE = HostUsage(
    cpu=CpuParts(1, 1, 1, 1, 96),
    cores={"0": CpuParts(1, 1, 1, 1, 96)},
    load=(1, 1, 1),
    memory=MemoryUse(8, 4, 4, 2, 1, 1),
    swap_total=2,
    swap_used=1,
    swap_in=1,
    swap_out=1,
    file_systems=[FileSystem("/", "/dev/sda1", "ext4", 10, 5, 5, 10, 5)],
    disks={},
    disk_rates={"sda": DiskIo(1, 1, 1, 1, 1)},
    interfaces={},
    interface_rates={"eth0": NETWORK},
    uptime_s=1,
    processes=1,
    cut=0,
)
HOST = [f"host.{key}" for key, _ in host_points(USAGE)]
JOBS = [f"jobs.web.nginx.{key}" for key, _ in process_points(Consumption(passed_s=30.0))]
NAMES = sorted(f"agents.1.{nid}.{key}" for nid in (7, 8) for key in [*HOST, *JOBS])
SOURCE = MemorySource({"acme": [Series(name, START, 30, [1.0] * 20) for name in NAMES]})


def boards() -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))]


def expressions() -> Iterator[tuple[str, str]]:
    for board in boards():
        for panel in board["panels"]:
            yield from ((f"{board['title']}: {panel['title']}", target["target"]) for target in panel["targets"])


def render(target: str) -> list[Line]:
    node, known, catalog = parse(target), dict[Need, Sequence[Series]](), Catalog(NAMES)
    while missing := [need for need in needs(node, START, START + 600, known, Budget()) if need not in known]:
        for need in missing:
            found = catalog.series(need.pattern, Budget())
            known[need] = SOURCE.read("acme", found, need.start, need.end, 1000)
    return evaluate(node, START, START + 600, known, Budget())


def test_names_that_agents_make_are_names_of_series() -> None:
    assert all(map(is_series, NAMES))


@pytest.mark.parametrize(("place", "target"), list(expressions()))
@pytest.mark.parametrize("value", ["*", "one", "{1,7,8,web,nginx}"])
def test_every_target_finds_series_that_have_numbers(place: str, target: str, value: str) -> None:
    one = {"gid": "1", "nid": "7", "domain": "web", "name": "nginx"}
    filled = re.sub(r"\$([a-z]+)", lambda match: one[match[1]] if value == "one" else value, target)
    lines = render(filled)
    assert lines, filled
    assert any(number is not None for line in lines for number in line.values), filled
    assert all(line.name for line in lines), filled


def test_variables_find_their_values() -> None:
    for board in boards():
        for variable in board["templating"]["list"]:
            pattern = re.sub(r"\$[a-z]+", "*", variable["query"])
            assert Catalog(NAMES).find(pattern, Budget()), variable


def test_dashboards_can_be_told_apart_and_ask_the_source_that_is_provisioned() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/deployer.yaml").read_text())["datasources"][0]
    assert (source["type"], source["url"]) == ("graphite", "$DEPLOYER_URL/graphite")
    assert len({board["uid"] for board in boards()}) == len(boards()) == 2
    for board in boards():
        assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert yaml.safe_load((GRAFANA / "provisioning/dashboards/deployer.yaml").read_text())["providers"]
