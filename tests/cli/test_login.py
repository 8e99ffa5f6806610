"""`deployer login`, `contexts`, `logout`: a token becomes a context, and never stands on a command line."""

import contextlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.cli import Cli, program_environment
from support.scripted import ScriptedMaster, answer, refusal
from support.wait import until

WHO = {"user": "ann", "company": "c1", "role": "owner", "token": "k", "agents": None}
PROGRAM = "from deployer.cli.main import main; main(prog_name='deployer')"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "home" / "deployer" / "config.toml"


@pytest.fixture
def env(config: Path) -> dict[str, str | None]:
    return {
        "XDG_CONFIG_HOME": str(config.parent.parent),
        **dict.fromkeys(("DEPLOYER_CONFIG", "DEPLOYER_URL", "DEPLOYER_TOKEN_FILE")),
    }


def test_a_token_from_a_file_or_our_input_is_kept_privately(
    master: ScriptedMaster, cli: Cli, env: dict[str, str | None], config: Path, token_file: Path
) -> None:
    master.on("GET /api/v1/user", answer(WHO))
    master.on("GET /api/v1/agents", answer({"items": [], "next": None}))
    done = cli("login", master.url, "--name", "a", "--token-file", str(token_file), env=env)
    assert (done.exit_code, done.stderr) == (0, f"deployer: context a: ann (owner) at {master.url}\n")
    done = cli("login", master.url, "--name", "b", "--token-file", "-", input="dpl_2_other\n", env=env)
    assert done.exit_code == 0
    found = tomllib.loads(config.read_text())
    assert found["current"] == "b"
    assert found["contexts"] == {n: {"url": master.url, "token_file": f"{n}.token"} for n in ("a", "b")}
    assert {path.name: path.stat().st_mode & 0o777 for path in config.parent.iterdir()} == {
        "config.toml": 0o600,
        "a.token": 0o600,
        "b.token": 0o600,
    }
    assert config.parent.stat().st_mode & 0o777 == 0o700
    assert cli("agents", env=env).exit_code == 0
    assert master.asked[-1].headers["Authorization"] == "Bearer dpl_2_other"
    assert cli("contexts", env=env).stdout == f"a\t{master.url}\t\nb\t{master.url}\t*\n"
    assert cli("contexts", "use", "a", env=env).exit_code == 0
    cli("agents", env=env)
    assert master.asked[-1].headers["Authorization"] == "Bearer dpl_1_secret"
    assert cli("contexts", "use", "c", env=env).exit_code == 2


def test_a_token_that_opens_nothing_is_not_kept(
    master: ScriptedMaster, cli: Cli, env: dict[str, str | None], config: Path, token_file: Path
) -> None:
    master.on("GET /api/v1/user", refusal(401, "unauthorized", "No."))
    assert cli("login", master.url, "--token-file", str(token_file), env=env).exit_code == 3
    assert not config.exists()


@pytest.mark.parametrize("name", ["..", "a/b", "", "-x", "a" * 65])
def test_a_name_that_is_none_is_2(master: ScriptedMaster, cli: Cli, env: dict[str, str | None], name: str) -> None:
    assert cli("login", "http://", f"--name={name}", "--token-file", "-", input="x", env=env).exit_code == 2
    assert master.asked == []


def test_without_a_terminal_there_is_no_password(cli: Cli, env: dict[str, str | None]) -> None:
    done = cli("login", "http://127.0.0.1:1", env=env)
    assert (done.exit_code, "no terminal" in done.stderr) == (2, True)


def typed(env: dict[str, str | None], *arguments: str, **answers: str) -> tuple[int, str]:
    """Run it on a terminal of its own and answer what it asks for; the exit code and what was shown."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    command = ["setsid", "--ctty", "--wait", sys.executable, "-c", PROGRAM, *arguments]
    shown = bytearray()

    def seen(text: str) -> bool:
        with contextlib.suppress(BlockingIOError):
            shown.extend(os.read(ours, 65536))
        return text.encode() in shown

    environment = program_environment(env)
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as program:
        for prompt, text in answers.items():
            until(lambda prompt=prompt: seen(f"{prompt}:"), what=prompt, deadline_s=20)  # type: ignore[misc]
            os.write(ours, f"{text}\n".encode())
        program.wait(20)
    seen("")
    os.close(theirs)
    os.close(ours)
    return program.returncode, shown.decode()


def test_with_user_and_password_a_token_is_made_and_the_session_ends(
    master: ScriptedMaster, env: dict[str, str | None], config: Path
) -> None:
    cookie = {"Set_Cookie": "deployer=abc; Path=/; HttpOnly"}
    master.on("POST /api/v1/session", answer({"user": "ann", "csrf_token": "proof"}, 201, **cookie))
    master.on("POST /api/v1/tokens", answer({"id": "t9", "token": "dpl_9_made"}, 201))
    master.on("DELETE /api/v1/session", answer({"user": "ann"}))
    master.on("GET /api/v1/user", answer(WHO))
    code, shown = typed(env, "login", master.url, "--name", "x", User="ann", Password="hunter2hunter2")
    assert code == 0
    assert "hunter2" not in shown
    opened, made, closed, asked = master.asked
    assert opened.body == {"user": "ann", "password": "hunter2hunter2"}
    assert "Authorization" not in opened.headers
    for one in (made, closed):
        assert (one.headers["Cookie"], one.headers["X-CSRF-Token"]) == ("deployer=abc", "proof")
    assert made.body["name"].startswith("login on ")
    assert asked.headers["Authorization"] == "Bearer dpl_9_made"
    assert tomllib.loads(config.read_text())["contexts"]["x"]["token_id"] == "t9"
    assert (config.parent / "x.token").read_text() == "dpl_9_made\n"


def test_who_may_not_make_tokens_is_told_what_to_do(master: ScriptedMaster, env: dict[str, str | None]) -> None:
    master.on("POST /api/v1/session", answer({"user": "ann", "csrf_token": "proof"}, 201))
    master.on("POST /api/v1/tokens", refusal(403, "forbidden", "no"))
    master.on("DELETE /api/v1/session", answer({"user": "ann"}))
    code, shown = typed(env, "login", master.url, "--user", "ann", Password="hunter2hunter2")
    assert code == 2
    assert "gives --token-file" in shown
    assert master.methods()[-1] == "DELETE /api/v1/session"


def test_a_password_does_not_go_over_the_network_in_the_clear(env: dict[str, str | None]) -> None:
    code, shown = typed(env, "login", "http://master.example:8966", "--user", "ann", Password="hunter2hunter2")
    assert code == 2
    assert "in the clear" in shown


def test_logging_out_revokes_what_login_made_and_forgets(
    master: ScriptedMaster, cli: Cli, env: dict[str, str | None], config: Path, token_file: Path
) -> None:
    master.on("GET /api/v1/user", answer(WHO))
    master.on("DELETE /api/v1/tokens/t9", answer({"id": "t9"}), refusal(403, "forbidden", "no"))
    ca = token_file.with_name("ca")
    ca.write_text("PEM")
    for name in ("a", "b"):
        cli("login", master.url, "--name", name, "--token-file", str(token_file), env=env)
    config.write_text(config.read_text() + 'token_id = "t9"\n')
    asked = len(master.asked)
    assert cli("logout", env=env).stderr == "deployer: context b is forgotten\n"
    assert master.methods()[asked:] == ["DELETE /api/v1/tokens/t9"]
    assert cli("logout", "a", env=env).exit_code == 0
    assert len(master.asked) == asked + 1
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]
    assert cli("logout", env=env).exit_code == 2
    assert cli("logout", "a", env=env).exit_code == 2
