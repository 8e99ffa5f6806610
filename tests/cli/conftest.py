"""A scripted master and the command line that is pointed at it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deployer.cli.main import main
from support.cli import Cli
from support.scripted import ScriptedMaster, scripted_master


@pytest.fixture
def master() -> Iterator[ScriptedMaster]:
    with scripted_master() as one:
        yield one


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("dpl_1_secret\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def environment(master: ScriptedMaster, token_file: Path, tmp_path: Path) -> dict[str, str | None]:
    config = str(tmp_path / "none.toml")
    return {"DEPLOYER_URL": master.url, "DEPLOYER_TOKEN_FILE": str(token_file), "DEPLOYER_CONFIG": config}


@pytest.fixture
def cli(environment: dict[str, str | None]) -> Cli:
    def invoke(*args: str, **more: Any) -> Result:
        env = environment | more.pop("env", {})
        return CliRunner().invoke(main, args, env=env, prog_name="deployer", **more)

    return invoke
