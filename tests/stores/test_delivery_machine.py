"""Any order of calls to the delivery scripts on a real Redis gives what the model says (RELIABILITY 2.8).

Looked at after every step are both that Redis stands as the model does and what must hold whatever the model says: I1
(each open task is where it gets on from), I2 (one instance is told to start it), I3 (a result stays as it is), I5.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.stores import keys, scripts
from deployer.stores.redis import Script
from support.delivery_model import CONTROL, FINAL, HIGH, LOW, PRIORITIES, USUAL, Job, Limits, Model, Session, TaskName
from support.resp import Resp
from support.seeded import NOW

COMPANY = "acme"
PREFIX = keys.prefix(COMPANY)
AGENTS = ("1:1", "1:2")
STRANGER = "2:1"
ALIVE_MS = 10**9
NEVER_MS = 10**12
LIMITS = Limits(queue=6, open=12)
SETTLED = Limits(queue=10**6, open=10**6)
CANCELLED = b'{"id":"cancelled","state":"KILLED","code":"CANCELLED"}'
EXPIRED = b'{"id":"expired","state":"ERROR","code":"EXPIRED"}'


@dataclass(frozen=True)
class Wanted:
    """A submission; `late`: ms after NOW until it expires."""

    id: str
    sha: str
    agents: Sequence[str]
    place: str
    late: int
    reply: bool


_agents = st.sampled_from(AGENTS)
_wanted = st.builds(
    Wanted,
    id=st.sampled_from("abcdefgh"),
    sha=st.sampled_from("ssst"),
    agents=st.sampled_from([["1:1"]] * 6 + [["1:2"], ["1:1", "1:2"], ["1:1", STRANGER]]),
    place=st.sampled_from([USUAL, USUAL, USUAL, HIGH, LOW, CONTROL]),
    late=st.sampled_from([100, 100, 100, 0]),
    reply=st.booleans(),
)
_instances = st.sampled_from(["0" * 32, "1" * 32])
_results = st.sampled_from(
    [
        Result(id="x", state="OK", data="one", level=20, starttime=NOW, time=1),
        Result(id="x", state="OK", data='{"id":"y","data":"two"}'),
        Result(id="x", state="ERROR", reason="no"),
        Result(id="x", state="TIMEOUT"),
    ]
)
_encode = msgspec.json.Encoder().encode


class Scripts:
    """Runs scripts as `stores` does: by hash, by text when Redis does not know it. `changed`: other texts for some."""

    def __init__(self, redis: Resp, changed: Mapping[str, Script]) -> None:
        self.redis = redis
        self._changed = changed

    def run(self, script: Script, named: Sequence[str], *arguments: object) -> Any:
        """The script's answer."""
        script = self._changed.get(script.name, script)
        try:
            return self.redis.ask("EVALSHA", script.sha, len(named), *named, *arguments)
        except AssertionError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return self.redis.ask("EVAL", script.text, len(named), *named, *arguments)

    def by_agent(self, script: Script, session: Session, *arguments: object) -> list[bytes] | None:
        """The answer to a session, None for STALE."""
        agent = AgentId.parse(session.agent)
        answer: list[bytes] = self.run(script, [keys.agent(agent), PREFIX], session.agent, session.epoch, *arguments)
        return None if answer[0] == b"STALE" else answer[1:]


class Delivery(RuleBasedStateMachine):
    """Masters, agents and users in any order."""

    def __init__(self, redis: Resp, changed: Mapping[str, Script]) -> None:
        super().__init__()
        self.redis = redis
        self.scripts = Scripts(redis, changed)
        self.model = Model(COMPANY, {**dict.fromkeys(AGENTS, COMPANY), STRANGER: "other"})
        self.sessions: list[Session] = []
        self.started: dict[TaskName, set[str]] = {}
        self.ends: dict[TaskName, tuple[bytes, bytes]] = {}
        self.counter = 0
        redis.ask("FLUSHALL")
        for name, agent in self.model.agents.items():
            prefix = keys.prefix(agent.company)
            redis.ask("HSET", keys.agent(AgentId.parse(name)), "company", agent.company, "prefix", prefix)
        for name in AGENTS:
            self.open_session(name, "0" * 32)

    def _next(self) -> int:
        self.counter += 1
        return self.counter

    @rule(wanted=st.lists(_wanted, min_size=1, max_size=4))
    def submit(self, wanted: list[Wanted]) -> None:
        for one in wanted:
            self._ask_for(one)

    def _ask_for(self, wanted: Wanted) -> None:
        ids = ["c:0", "c:1"] if wanted.id == "c" else [wanted.id]
        names = [TaskName(id_, agent) for agent in wanted.agents for id_ in ids]
        reply = f"cmds_queue_{wanted.id}" if wanted.reply else ""
        self._submit(wanted.id, Job(wanted.sha, NOW + wanted.late, names, reply), wanted.place, LIMITS)

    def _submit(self, id_: str, job: Job, place: str, limits: Limits) -> None:
        number = self._next()
        wires = [f"wire {number} of {name}".encode() for name in job.tasks]
        parts: list[object] = []
        for name, wire in zip(job.tasks, wires, strict=True):
            parts += (name.id, name.agent, wire, job.reply, b'"id":"%b"' % id_.encode() if job.reply else b"")
        bounds = [limits.queue, limits.open]
        fixed = [id_, job.sha, b"{}", NOW + number, job.not_after, *bounds]
        fixed += [USUAL if place in PRIORITIES else place, "eve", len(job.tasks), PRIORITIES.get(place, 0), ""]
        expected = self.model.submit(id_, job, wires, place, limits)
        assert self.scripts.run(scripts.SUBMIT, [PREFIX], *fixed, *parts).decode() == expected
        if expected == "OK":
            for name in job.tasks:
                self.started.pop(name, None)
                self.ends.pop(name, None)

    @rule(agent=_agents, instance=_instances)
    def open_session(self, agent: str, instance: str) -> None:
        expected = self.model.open_session(agent, instance)
        named = [keys.agent(AgentId.parse(agent)), keys.session(f"digest{self._next()}")]
        asked = (agent, instance, f"digest{self.counter}", 3600, ALIVE_MS, "1", "host", "[]")
        answer = self.scripts.run(scripts.SESSION, named, *asked)
        if expected is None:
            assert answer == [b"OTHER_INSTANCE"]
        else:
            assert answer == [b"OK", b"%d" % expected.epoch]
            self.sessions.append(expected)

    @rule(data=st.data(), most=st.sampled_from([0, 1, 2, 100]))
    def claim(self, data: st.DataObject, most: int) -> None:
        """Whether the answer arrives makes no difference here: the agent may accept it or not."""
        self._claim(self._session(data), most)

    def _claim(self, session: Session, most: int) -> None:
        lease = NEVER_MS + 1000 * self._next()  # each claim's end is after those of the claims before
        answer = self.scripts.by_agent(scripts.CLAIM, session, most, lease, 0, 10**6, 10**6)
        expected = self.model.claim(session, most)
        assert (answer is None) == (expected is None)
        if answer is not None:
            assert [answer[0], *answer[2::2]] == [[], *(expected or [])]

    def _session(self, data: st.DataObject) -> Session:
        """Mostly the newest of an agent."""
        agent = data.draw(st.sampled_from(["1:1"] * 3 + ["1:2"]))
        mine = [one for one in self.sessions if one.agent == agent]
        return data.draw(st.sampled_from([*mine, *mine[-1:] * 3 * len(mine)]))

    @rule(agent=_agents)
    def time_passes(self, agent: str) -> None:
        self._lapse(agent)

    def _lapse(self, agent: str) -> None:
        self.model.lapse(agent)
        key = keys.agent(AgentId.parse(agent))
        if self.redis.ask("HEXISTS", key, "last_seen"):
            self.redis.ask("HSET", key, "last_seen", 1)
        for place, id_ in enumerate(self.redis.ask("ZRANGE", f"{key}:inflight", 0, -1)):
            self.redis.ask("ZADD", f"{key}:inflight", "XX", place, id_)

    def _some(self, data: st.DataObject, session: Session) -> str:
        """The id of some task, mostly one of this agent's."""
        mine = [name.id for name in self.model.tasks if name.agent == session.agent]
        return data.draw(st.sampled_from([*mine * 3, "a", "c:1", "never"]))

    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        session = self._session(data)
        self._accept(session, self._some(data, session))

    @rule(data=st.data())
    def take_and_accept(self, data: st.DataObject) -> None:
        session = self._session(data)
        self._take_and_accept(session)

    @rule(data=st.data(), wanted=_wanted, results=st.lists(_results, max_size=2))
    def a_job_runs(self, data: st.DataObject, wanted: Wanted, results: list[Result]) -> None:
        self._ask_for(wanted)
        session = self._session(data)
        self._take_and_accept(session)
        for result in results:
            self._finish(session, wanted.id, result)

    def _take_and_accept(self, session: Session) -> None:
        self._claim(session, 100)
        for id_ in list(self.model.agents[session.agent].inflight):
            self._accept(session, id_)

    @rule(agent=_agents, instance=_instances)
    def an_instance_comes_after_a_silence(self, agent: str, instance: str) -> None:
        self._lapse(agent)
        self.open_session(agent, instance)

    def _accept(self, session: Session, id_: str) -> None:
        answer = self.scripts.by_agent(scripts.ACCEPT, session, session.instance, 0, id_)
        expected = self.model.accept(session, id_)
        assert answer == (None if expected is None else [expected.encode()])
        if expected == "START":
            told = self.started.setdefault(TaskName(id_, session.agent), set())
            told.add(session.instance)
            assert len(told) == 1, "two instances were told to start it"

    @rule(data=st.data(), results=st.lists(_results, min_size=1, max_size=3))
    def finish(self, data: st.DataObject, results: list[Result]) -> None:
        """Also twice, and then otherwise."""
        session = self._session(data)
        id_ = self._some(data, session)
        for result in results:
            self._finish(session, id_, result)

    def _finish(self, session: Session, id_: str, result: Result) -> None:
        raw = _encode(msgspec.structs.replace(result, id=id_))
        answer = self.scripts.by_agent(scripts.RESULT, session, session.instance, 0, id_, result.state, raw)
        expected = self.model.finish(session, id_, result.state, raw)
        assert answer == (None if expected is None else [expected.encode()])

    @rule(data=st.data(), runs=st.lists(st.tuples(st.integers(1, 2), _results), min_size=1, max_size=3))
    def record_runs(self, data: st.DataObject, runs: list[tuple[int, Result]]) -> None:
        session = self._session(data)
        id_ = self._some(data, session)
        for run, result in runs:
            self._record_run(session, id_, msgspec.structs.replace(result, id=id_, run=run))

    def _record_run(self, session: Session, id_: str, result: Result) -> None:
        run, raw = result.run, _encode(result)
        answer = self.scripts.by_agent(scripts.RUN, session, session.instance, 0, 100, id_, run, raw)
        expected = self.model.record_run(session, id_, run, raw)
        assert answer == (None if expected is None else [expected.encode()])

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        known = sorted({TaskName(n.id.removesuffix(":kill"), n.agent) for n in self.model.tasks}, key=str)
        name = data.draw(st.sampled_from(known))
        kill = b"kill %d" % self._next()
        answer = self.scripts.run(scripts.CANCEL, [PREFIX], CANCELLED, name.id, name.agent, name.kill.id, kill)
        assert answer == [self.model.cancel(name, CANCELLED, kill).encode()]

    @rule(later=st.sampled_from([0, 0, 0, 100]))
    def expire(self, later: int) -> None:
        self._expire(NOW + later)

    def _expire(self, now: int) -> None:
        self.scripts.run(scripts.EXPIRE, [keys.DEADLINES], EXPIRED, now)
        self.model.expire(now, EXPIRED)

    @rule(most=st.sampled_from([0, 1, 10**6]))
    def retire(self, most: int) -> None:
        finished = self.model.finished()
        gone = self.scripts.run(scripts.RETIRE, [PREFIX], 10**9, most)
        left = {raw.decode() for raw in self.redis.ask("ZRANGE", f"{PREFIX}finished", 0, -1)}
        assert gone == max(0, len(finished) - most)
        assert left <= finished
        for job in finished - left:
            assert not self.redis.ask("EXISTS", keys.job(COMPANY, job), f"{keys.job(COMPANY, job)}:tasks")
            self.model.forget(job)

    @rule()
    def redis_forgets_the_scripts(self) -> None:
        self.redis.ask("SCRIPT", "FLUSH")

    @invariant()
    def redis_stands_as_the_model_does(self) -> None:
        for name, task in self.model.tasks.items():
            fields = self._task(name)
            assert fields[:3] == [task.state.encode(), _bytes(task.by), task.result], str(name)
            runs = self.redis.ask("ZRANGE", f"{self._key(name)}:runs", 0, -1)
            assert runs == [task.runs[run] for run in sorted(task.runs)]
        for name, agent in self.model.agents.items():
            key = keys.agent(AgentId.parse(name))
            for place in (USUAL, CONTROL):
                assert self._texts("LRANGE", f"{key}:{place}") == agent.lists[place]
            assert self._texts("ZRANGE", f"{key}:ranked") == agent.lists[HIGH] + agent.lists[LOW]
            assert self._texts("ZRANGE", f"{key}:inflight") == list(agent.inflight)
        assert self._texts("LRANGE", "cmds_queue") == []
        found = self._texts("ZRANGE", f"{PREFIX}jobs")
        assert sorted(place.partition(":")[2] for place in found) == sorted(self.model.jobs)

    @invariant()
    def counts_are_those_of_the_tasks(self) -> None:
        still_open = 0
        for id_, job in self.model.jobs.items():
            states = [self._task(name)[0].decode() for name in job.tasks]
            flat = self.redis.ask("HGETALL", keys.job(COMPANY, id_))
            fields = {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2], strict=True)}
            counts = {k[2:]: int(v) for k, v in fields.items() if k.startswith("n:") and v != "0"}
            assert counts == {state: states.count(state) for state in set(states)}
            mine = sum(state not in FINAL for state in states)
            still_open += mine
            assert int(fields["open"]) == mine
            ended = self.redis.ask("ZSCORE", f"{PREFIX}finished", id_) is not None
            assert (mine == 0) == ended == ("finished" in fields)
        assert int(self.redis.ask("GET", f"{PREFIX}open") or 0) == still_open

    @invariant()
    def each_open_task_is_where_it_gets_on_from(self) -> None:
        due = set(self._texts("ZRANGE", keys.DEADLINES))
        waiting = set()
        for name, task in self.model.tasks.items():
            state, by, result = (None if raw is None else raw.decode() for raw in self._task(name)[:3])
            key = keys.agent(AgentId.parse(name.agent))
            if state == "QUEUED":
                ranked = task.list in PRIORITIES
                there = self._texts(*(("ZRANGE", f"{key}:ranked") if ranked else ("LRANGE", f"{key}:{task.list}")))
                assert name.id in there, f"{name} is lost"
            elif state == "SENT":
                assert self.redis.ask("ZSCORE", f"{key}:inflight", name.id) is not None, f"{name} is lost"
            elif state == "RUNNING":
                assert by is not None
            assert (result is not None) == (state in FINAL)
            if task.job and state in {"QUEUED", "SENT"}:
                waiting.add(f"{PREFIX}|{name}")
        assert due == waiting

    @invariant()
    def a_result_stays_as_it_is(self) -> None:
        for name in self.model.tasks:
            state, _, result = self._task(name)[:3]
            if result is not None:
                assert self.ends.setdefault(name, (state, result)) == (state, result)

    @invariant()
    def who_waits_for_results_gets_each_once(self) -> None:
        for key, results in self.model.replies.items():
            found = [json.loads(raw) for raw in self.redis.ask("LRANGE", key, 0, -1)]
            wanted = [{"data": "", "level": 0, "time": 0, "starttime": 0, **json.loads(raw)} for raw in results]
            assert found == [{**one, "id": key.removeprefix("cmds_queue_")} for one in wanted]

    def teardown(self) -> None:
        """All comes to its end once every instance has come back and the time of what waits is over."""
        for agent in AGENTS:
            for instance in ("0" * 32, "1" * 32):
                self._lapse(agent)
                self.open_session(agent, instance)
                self._settle(self.sessions[-1])
        self._expire(NOW + 10**6)
        self.redis_stands_as_the_model_does()
        self.counts_are_those_of_the_tasks()
        assert {task.state for task in self.model.tasks.values()} <= FINAL
        assert int(self.redis.ask("GET", f"{PREFIX}open") or 0) == 0

    def _settle(self, session: Session) -> None:
        self._claim(session, 10**6)
        for name in [name for name in self.model.tasks if name.agent == session.agent]:
            self._accept(session, name.id)
            self._finish(session, name.id, Result(id="x", state="OK"))

    def _key(self, name: TaskName) -> str:
        return keys.task(COMPANY, name.id, AgentId.parse(name.agent))

    def _task(self, name: TaskName) -> list[Any]:
        fields: list[Any] = self.redis.ask("HMGET", self._key(name), "state", "by", "result")
        return fields

    def _texts(self, command: str, key: str) -> list[str]:
        return [raw.decode() for raw in self.redis.ask(command, key, 0, -1)]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _run(socket: Path, chosen: settings, changed: Mapping[str, Script] | None = None) -> None:
    with Resp(socket) as redis:
        made: Callable[[], Delivery] = lambda: Delivery(redis, changed or {})  # noqa: E731
        run_state_machine_as_test(made, settings=chosen)  # type: ignore[no-untyped-call]  # hypothesis has no types here


USUALLY = settings(max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_scripts_do_what_the_model_says(redis_socket: Path) -> None:
    _run(redis_socket, USUALLY)


@pytest.mark.long
def test_the_scripts_do_what_the_model_says_at_length(redis_socket: Path) -> None:
    at_length = settings(USUALLY, max_examples=500, stateful_step_count=50, derandomize=False, print_blob=True)
    _run(redis_socket, at_length)


MUTANTS = [
    ("claim", b"known[1] ~= ARGV[2]", b"false"),
    pytest.param("claim", b"sent = sent + 1", b"redis.call('ZREM', inflight, id)", marks=pytest.mark.long),
    ("claim", b"known[1] == 'QUEUED' and", b""),
    ("accept", b"state == 'RUNNING' then", b"false then"),
    ("result", b"known[1] == 'RUNNING' and known[3] == ARGV[3]", b"known[1] == 'RUNNING'"),
    ("result", b"elseif FINAL[known[1]] then", b"elseif false then"),
    ("cancel", b"elseif not FINAL[known[1]] then", b"else"),
    pytest.param("expire", b"known[1] == 'SENT' or", b"", marks=pytest.mark.long),
    pytest.param(
        "run",
        b"receipt = had(",
        b"reply(task, redis.call('HMGET', task, 'reply', 'head'), ARGV[i + 2]) receipt = had(",
        marks=pytest.mark.long,
    ),
    ("submit", b"redis.call('INCRBY', prefix .. 'open', int(n))", b""),
]


@pytest.mark.parametrize(("name", "right", "wrong"), MUTANTS)
def test_a_script_with_a_mistake_is_found(redis_socket: Path, name: str, right: bytes, wrong: bytes) -> None:
    text = getattr(scripts, name.upper()).text
    assert right in text
    changed = {name: Script.of(name, text.replace(right, wrong))}
    hunt = settings(USUALLY, max_examples=200, phases=[Phase.generate], database=None)
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        _run(redis_socket, hunt, changed)
