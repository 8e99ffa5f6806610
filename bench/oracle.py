"""Whether the time of an answer tells what exists (RELIABILITY R2, R8).

Run by hand: `python bench/oracle.py`. What is another company's beside what does not exist, a wrong secret of a token
that exists beside one of a token that does not, a wrong password of a user that exists beside one of a user that does
not. Asked in turns, so that what else happens on the machine meets both alike.
"""

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from support.programs import Fleet, fleet

REPEATS = 1_000
FEW = 45
LOG_INS = 5
"""Wrong attempts of one address, and of one user, are limited."""
MOST_MS = 5.0
PASSWORD = "a long enough password"  # noqa: S105 (of nobody)

Ask = Callable[[], int]


def asker(made: Fleet, token: str) -> Callable[..., int]:
    """Requests on one connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", int(made.url.rpartition(":")[2]))

    def ask(method: str, path: str, body: Any = None, token: str = token) -> int:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    return ask


def compare(what: str, repeats: int, first: Ask, second: Ask, status: int) -> None:
    """Print the medians of both and how far they are apart."""
    times: Sequence[list[float]] = ([], [])
    for _ in range(repeats):
        for ask, seen in zip((first, second), times, strict=True):
            begin = time.perf_counter()
            got = ask()
            seen.append((time.perf_counter() - begin) * 1000)
            if got != status:
                raise SystemExit(f"{what}: {got} instead of {status}")
    medians = [statistics.median(seen) for seen in times]
    apart = abs(medians[0] - medians[1])
    told = f"{medians[0]:.2f} ms and {medians[1]:.2f} ms, {apart:.2f} ms apart (asked: {MOST_MS:g})"
    print(f"{what}: {told}", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as made:
        made.start_master()
        made.start_agent()
        made.submit("secret", "/bin/true", wait_s=30)
        company = made.ask("POST", "/api/v1/companies", {"name": "other"})[1]["id"]
        made.ask("POST", "/api/v1/users", {"name": "mallory", "company": company, "role": "owner"})
        made.ask("PUT", f"/api/v1/users/mallory/password?company={company}", {"password": PASSWORD})
        admin = (made.data / "admin-token").read_text().strip()
        log_in = {"company": "other", "user": "mallory", "password": PASSWORD}
        connection = http.client.HTTPConnection("127.0.0.1", int(made.url.rpartition(":")[2]))
        connection.request("POST", "/api/v1/session", json.dumps(log_in), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        cookie = str(answer.getheader("Set-Cookie")).partition(";")[0]

        def foreign(path: str) -> int:
            connection.request("GET", path, headers={"Cookie": cookie})
            answer = connection.getresponse()
            answer.read()
            return answer.status

        pairs = (
            ("jobs/secret", "jobs/none"),
            ("jobs/secret/tasks", "jobs/none/tasks"),
            ("jobs/secret/log", "jobs/none/log"),
            ("agents/1:1", "agents/1:99"),
            ("hosts/1:1/facts", "hosts/1:99/facts"),
            ("processes/secret@1:1.1", "processes/none@1:1.1"),
            ("users/admin", "users/nobody"),
        )
        for there, missing in pairs:
            compare(
                f"{there}, another company's, and {missing}",
                REPEATS,
                lambda there=there: foreign(f"/api/v1/{there}"),  # type: ignore[misc]  # a default of a lambda
                lambda missing=missing: foreign(f"/api/v1/{missing}"),  # type: ignore[misc]  # the same
                404,
            )
        ask = asker(made, "")
        kind, kid, secret = admin.split("_")
        other = "0" * len(secret)
        compare(
            "a wrong secret of a token that exists, and of one that does not",
            FEW,
            lambda: ask("GET", "/api/v1/user", token=f"{kind}_{kid}_{other}"),
            lambda: ask("GET", "/api/v1/user", token=f"{kind}_{'0' * len(kid)}_{other}"),
            401,
        )
        compare(
            "a wrong password of a user that exists, and of one that does not",
            LOG_INS,
            lambda: ask("POST", "/api/v1/session", {**log_in, "password": "wrong but long"}),
            lambda: ask("POST", "/api/v1/session", {**log_in, "user": "nobody", "password": "wrong but long"}),
            401,
        )


if __name__ == "__main__":
    main()
