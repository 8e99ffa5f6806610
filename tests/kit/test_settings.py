from pathlib import Path

import pytest
from msgspec import Struct

from deployer.kit.settings import SettingsError, load


class Example(Struct, frozen=True, kw_only=True):
    name: str = "default"
    count: int = 1
    flag: bool = False
    places: tuple[str, ...] = ("here",)


def read(tmp_path: Path, text: str = "", environment: dict[str, str] | None = None, **options: object) -> Example:
    file = tmp_path / "example.toml"
    file.write_text(text)
    return load(Example, file=file, environment=environment or {}, prefix="X_", options=options).values


def test_options_win_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    text = 'name = "file"\ncount = 2\nplaces = ["there"]'
    assert read(tmp_path, text, {"X_NAME": "env", "X_COUNT": "3", "X_FLAG": "true"}, name="option") == Example(
        name="option", count=3, flag=True, places=("there",)
    )


def test_each_value_is_shown_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("count = 2")
    settings = load(
        Example, file=file, environment={"X_PLACES": "one"}, prefix="X_", options={"name": "n", "flag": None}
    )
    assert settings.describe().splitlines() == [
        "name = 'n'  # command line",
        f"count = 2  # file {file}",
        "flag = False  # default",
        "places = ('one',)  # environment",
    ]


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    for url in (
        "redis://:secret@host:1/0",
        "rediss://user:secret@host",
        "redis://u:se/secret@host",
        "redis://u u:secret@[host",
    ):
        settings = load(Example, file=None, environment={}, prefix="X_", options={"name": url})
        assert "secret" not in settings.describe()
        assert "host" in settings.describe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae = 1", "no setting is named nmae"),
        ("count = 'many'", "count"),
        ("name = 1", "name"),
        ("= 1", "not TOML"),
        ("places = [1]", "places"),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load(Example, file=tmp_path / "none", environment={}, prefix="X_", options={})
