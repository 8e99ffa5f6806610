"""Settings of the agent, and the file that documents them."""

import re
import tomllib
from pathlib import Path

import pytest

from deployer_agent.config import AgentSettings, read
from deployer_agent.errors import StartError
from deployer_agent.tap import Options

FILE = Path(__file__).resolve().parents[2] / "etc" / "agent.toml"
EXAMPLES = {
    "gid",
    "nid",
    "join_token_file",
    "ca_file",
    "ca_fingerprint",
    "tls_cert",
    "tls_key",
    "policy_file",
    "max_ram",
    "max_load",
    "rack",
    "zone",
    "datacenter",
    "region",
}
TABLES = {"startup", "extensions"}


def test_the_file_has_every_setting_with_its_default() -> None:
    settings = FILE.read_text().partition("#[startup")[0]
    written = tomllib.loads(re.sub(r"(?m)^#(\w+ = )", r"\1", settings))
    assert set(written) == set(AgentSettings.__struct_fields__) - TABLES
    for name, value in written.items():
        assert name in EXAMPLES or value == getattr(AgentSettings(), name)
    assert tomllib.loads(FILE.read_text()) == {}


def test_the_examples_of_own_processes_and_commands_are_accepted(tmp_path: Path) -> None:
    text = FILE.read_text()
    file = tmp_path / "f.toml"
    file.write_text(re.sub(r"(?m)^#(?=\[|\w+ = )", "", text[text.index("#[startup") :]))
    settings = read(str(file), {}, {}).values
    assert set(settings.startup) == {"redis", "web"}
    assert settings.startup["redis"].max_time == -1
    assert settings.startup["web"].depends_on == ["redis"]
    assert set(settings.extensions) == {"disk-check"}


def test_options_win_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("gid = 1\nnid = 1\nmax_tasks = 1\n")
    settings = read(str(file), {"gid": "3"}, {"DEPLOYER_AGENT_GID": "2", "DEPLOYER_AGENT_NID": "2"})
    assert (settings.values.gid, settings.values.nid, settings.values.max_tasks) == (3, 2, 1)
    assert "nid = 2  # environment" in settings.describe()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("nonsense = 1", "nonsense"),
        ('[startup.a]\ncmd = "x"\ndepends_on = ["b"]', "'b', which is not there"),
        ('[startup.a]\ncmd = "x"\ndepends_on = ["b"]\n[startup.b]\ncmd = "x"\ndepends_on = ["a"]', "circle"),
        ('[startup.a]\ncmd = "x"\nready_match = "("', "no regular expression"),
        ('[startup.a]\ncmd = "x"\nready_prot = 1', "ready_prot"),
        ("[startup.a]\nargs = []", "cmd"),
        ('[extensions.execute]\ncmd = "x"', "every agent has"),
        ('[extensions."a b"]\ncmd = "x"', "extensions"),
        ("max_jobs = 0", "max_jobs"),
        ("gid = 0", "gid"),
        ("gid =", "not TOML"),
        ('url = "http://10.0.0.1"', "not encrypted"),
        ('url = "gopher://x"', "must be"),
        ('url = "http://127.0.0.1.example.com"', "not encrypted"),
    ],
)
def test_a_wrong_setting_is_told_in_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "f.toml"
    file.write_text(content)
    with pytest.raises(StartError, match=sentence) as caught:
        read(str(file), {}, {})
    assert "\n" not in str(caught.value)


def test_check_prints_each_value_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--gid", "4", "--check"])
    assert ended.value.code == 0
    assert "gid = 4  # command line" in capsys.readouterr().out


def test_a_token_in_the_place_of_its_file_is_refused_and_not_told() -> None:
    with pytest.raises(StartError, match="not the token itself") as refused:
        read(None, {"url": "http://127.0.0.1:1", "data_dir": "d", "join_token_file": "dpj_a_secret"}, {})
    assert "secret" not in str(refused.value)
