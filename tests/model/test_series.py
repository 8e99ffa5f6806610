import pytest

from deployer.model.series import Series, canonical, is_series, split


@pytest.mark.parametrize(
    "name",
    ["a", "agents.1.1.host.cpu_user", "stats.gauges.x%2Fy", "a.b;dc=x;rack=r 1", "a;b=c~d=e"],
)
def test_a_series_has_a_path_and_perhaps_tags(name: str) -> None:
    assert is_series(name)
    path, tags = split(name)
    assert canonical(path, list(tags.items())) == name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "a.", ".a", "a..b", "../../etc/cron.d/x", "/abs", "a/b", "a\\b", "a\x00", "ä", "a b",
        "a;", "a;b", "a;b=", "a;=c", "a;b=~c", "a;b=c\n", "a;z=1;b=2", "a;b=1;b=2",
        "a" * 2501, ".".join("a" * 33),
    ],
)  # fmt: skip
def test_what_could_lead_elsewhere_is_no_series(name: str) -> None:
    assert not is_series(name)


def test_a_series_ends_after_its_last_slot() -> None:
    assert Series("a", 60, 30, [1.0, None]).end == 120
