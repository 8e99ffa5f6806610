"""Lines of statsd in their dialects, by tables; any text gives a sample or a reason."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol import statsd
from deployer.protocol.ids import node
from deployer.protocol.stats import is_key
from deployer.protocol.statsd import Bad, Sample, parse, parse_lines, tag_text


def said(line: str) -> dict[str, Any]:
    sample = parse(line)
    assert isinstance(sample, Sample), sample
    usual = {"rate": 1.0, "tags": (), "at": None, "member": ""}
    fields = {field: getattr(sample, field) for field in sample.__struct_fields__}
    return {field: value for field, value in fields.items() if field not in usual or value != usual[field]}


@pytest.mark.parametrize(
    ("line", "name", "kind", "values", "more"),
    [
        ("a:1|c", "a", "counter", (1.0,), {}),
        ("a.b.c:-2.5|c", "a.b.c", "counter", (-2.5,), {}),
        ("a:1e3|c|@0.1", "a", "counter", (1000.0,), {"rate": 0.1}),
        ("a:1|c|@1", "a", "counter", (1.0,), {}),
        ("a:320|ms", "a", "timer", (320.0,), {}),
        ("a:320|h|@0.5", "a", "timer", (320.0,), {"rate": 0.5}),
        ("a:320|d", "a", "timer", (320.0,), {}),
        ("a:7|g", "a", "gauge", (7.0,), {}),
        ("a:+7|g", "a", "delta", (7.0,), {}),
        ("a:-7|g", "a", "delta", (-7.0,), {}),
        ("a:-7|c", "a", "counter", (-7.0,), {}),
        ("a:7|g|@0.1", "a", "gauge", (7.0,), {}),
        ("a:7|kv", "a", "kv", (7.0,), {}),
        ("a:-7|kv", "a", "kv", (-7.0,), {}),
        ("a:jane|s", "a", "set", (), {"member": "jane"}),
        ("a:::1:80|s", "a", "set", (), {"member": "::1:80"}),
        ("a:1:2:3|h", "a", "timer", (1.0, 2.0, 3.0), {}),
        ("a:-1:-2|g", "a", "gauge", (-1.0, -2.0), {}),
        ("a:1:2|c|@0.5|#x:y", "a", "counter", (1.0, 2.0), {"rate": 0.5, "tags": (("x", "y"),)}),
        ("a:1|c|#b:2,a:1,flag", "a", "counter", (1.0,), {"tags": (("a", "1"), ("b", "2"), ("flag", "true"))}),
        ("a:1|c|#u:http://x,,u:z", "a", "counter", (1.0,), {"tags": (("u", "z"),)}),
        ("a:1|c|#k=!:a;b=c", "a", "counter", (1.0,), {"tags": (("k__", "a_b=c"),)}),
        ("a:1|c|#", "a", "counter", (1.0,), {}),
        ("a:1|c|c:83c0a99c|e:it-false|card:low", "a", "counter", (1.0,), {}),
        ("a:1|c|x:y|#k:v|@0.5", "a", "counter", (1.0,), {"rate": 0.5, "tags": (("k", "v"),)}),
        ("a:1|c|T1656581400", "a", "counter", (1.0,), {"at": 1656581400}),
        ("a:1|g|T1656581400", "a", "gauge", (1.0,), {"at": 1656581400}),
        ("a:1|ms|T1656581400", "a", "timer", (1.0,), {}),
        ("a:1|c|T" + "9" * 500, "a", "counter", (1.0,), {}),
        ("a,host=h1,dc=x.y:1|c", "a", "counter", (1.0,), {"tags": (("dc", "x.y"), ("host", "h1"))}),
        ("a,host=h1:1|c|#dc:x", "a", "counter", (1.0,), {"tags": (("dc", "x"), ("host", "h1"))}),
        ("  a : 1 |c\r", "a", "counter", (1.0,), {}),
        ("a b/c.é:1|c", "a%20b%2Fc.%C3%A9", "counter", (1.0,), {}),
        ("%2e%2e:1|c", "%252e%252e", "counter", (1.0,), {}),
        ("C:\\con:1|c", None, None, None, None),
        ("n" * 256 + ":1|c", "n" * 256, "counter", (1.0,), {}),
    ],
)
def test_a_line_says(line: str, name: str | None, kind: str, values: tuple[float, ...], more: dict[str, Any]) -> None:
    if name is None:
        assert isinstance(parse(line), Bad)
    else:
        assert said(line) == {"name": name, "kind": kind, "values": values, **more}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", Bad.NO_VALUE),
        ("a", Bad.NO_VALUE),
        ("a:1", Bad.NO_VALUE),
        ("a|c", Bad.NO_VALUE),
        ("a|1:2|c", Bad.NO_VALUE),
        ("_sc|redis|0|#a:b", Bad.NO_VALUE),
        ("_e{1,1}:a|b", Bad.TYPE),
        (":1|c", Bad.EMPTY_NAME),
        (" :1|c", Bad.EMPTY_NAME),
        (",a=b:1|c", Bad.EMPTY_NAME),
        ("a..b:1|c", Bad.EMPTY_NAME),
        (".a:1|c", Bad.EMPTY_NAME),
        ("a.:1|c", Bad.EMPTY_NAME),
        ("../../etc/cron:1|c", Bad.EMPTY_NAME),
        ("n" * 257 + ":1|c", Bad.LONG_NAME),
        ("n" * 5000 + ":1|c", Bad.LONG_NAME),
        ("é" * 100 + ":1|c", Bad.LONG_NAME),
        ("a:|g", Bad.NUMBER),
        ("a:x|g", Bad.NUMBER),
        ("a:nan|g", Bad.NUMBER),
        ("a:inf|g", Bad.NUMBER),
        ("a:-Infinity|c", Bad.NUMBER),
        ("a:1e400|ms", Bad.NUMBER),
        ("a:1_000|c", Bad.NUMBER),
        ("a:0x10|c", Bad.NUMBER),
        ("a:\u0661|c", Bad.NUMBER),
        ("a:" + "1" * 33 + "|c", Bad.NUMBER),
        ("a:1::2|h", Bad.NUMBER),
        ("a:1:nan|h", Bad.NUMBER),
        ("a:1:|h", Bad.NUMBER),
        ("a:" + "1:" * 1000 + "1|h", Bad.MANY_VALUES),
        ("a:|s", Bad.MEMBER),
        ("a:" + "x" * 1025 + "|s", Bad.MEMBER),
        ("a:1|", Bad.TYPE),
        ("a:1|x", Bad.TYPE),
        ("a:1|C", Bad.TYPE),
        ("a:1|c|@0", Bad.RATE),
        ("a:1|c|@-1", Bad.RATE),
        ("a:1|c|@nan", Bad.RATE),
        ("a:1|c|@inf", Bad.RATE),
        ("a:1|c|@", Bad.RATE),
        ("a:1|c|@2", Bad.RATE),
        ("a:1|g|@0", Bad.RATE),
        ("a:1|c|#" + ",".join(f"k{n}" for n in range(33)), Bad.TAGS),
        ("a:1|c|#k:" + "v" * 200, Bad.TAGS),
        ("a:1|c|#" + "x" * 2000, Bad.TAGS),
        ("a," + ",".join(f"k{n}=1" for n in range(33)) + ":1|c", Bad.TAGS),
        ("a\0:1|c", Bad.CONTROL),
        ("a:1|c|#a:\x1b[0m", Bad.CONTROL),
        ("a:\x851|s", Bad.CONTROL),
        ("a:1\n|c", Bad.CONTROL),
        ("a:1|c" + "|" * 17_000, Bad.LONG_LINE),
    ],
)
def test_a_bad_line_has_a_reason(line: str, reason: Bad) -> None:
    assert parse(line) is reason


def test_a_text_has_many_lines_and_blank_ones_say_nothing() -> None:
    found = list(parse_lines("a:1|c\n\n  \r\nbad\nb:2|g\n"))
    assert [one if isinstance(one, Bad) else one.name for one in found] == ["a", Bad.NO_VALUE, "b"]


def test_tags_at_the_end_of_a_key_can_be_read_back() -> None:
    assert tag_text((("dc", "a.b"), ("x", "1"))) == "%3Bdc%3Da%2Eb%3Bx%3D1"
    assert tag_text(()) == ""


_texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab.:|@#cgmshdkvT,=+-0123456789eE_~;%/\\ \x00\n", max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "replace")),
    st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)


@given(_texts)
def test_any_text_is_a_sample_of_bounded_parts_or_a_reason(line: str) -> None:
    sample = parse(line)
    if isinstance(sample, Bad):
        return
    assert is_key(sample.name)
    assert len(sample.name) <= statsd.MAX_ENCODED_CHARS
    assert all(math.isfinite(value) for value in sample.values)
    assert 0 < sample.rate <= 1
    assert bool(sample.values) == (sample.kind != "set")
    assert bool(sample.member) == (sample.kind == "set")
    assert not sample.tags or is_key(f"a{tag_text(sample.tags)}"[:300])
    assert not any(re.search("[;!^=]", tag) or ";" in value for tag, value in sample.tags)


@given(
    st.lists(st.text(alphabet="ab_-%é /", min_size=1, max_size=8), min_size=1, max_size=4),
    st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=20),
    st.sampled_from(["c", "ms", "h", "d", "kv", "g"]),
)
def test_what_was_written_is_read(parts: list[str], values: list[float], kind: str) -> None:
    name = ".".join(part.strip() or "x" for part in parts)
    sample = parse(f"{name}:{':'.join(map(repr, values))}|{kind}")
    assert isinstance(sample, Sample)
    assert sample.values == tuple(values)
    assert sample.name == ".".join(map(node, name.split(".")))
