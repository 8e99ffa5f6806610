import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.codecs import Misfit, NotJson, decode_strict
from deployer.protocol.commands import ExecuteArgs


def read(body: bytes) -> ExecuteArgs:
    return decode_strict(ExecuteArgs, body, max_bytes=1024 * 1024)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,
        b'{"cmd":"x","env":' * 40 + b"{}" + b"}" * 40,
        b'{"cmd":NaN}',
        b'{"cmd":Infinity}',
        b'{"cmd":"a","cmd":"b"}',
        b'{"cmd":"a"} x',
        b'{"cmd":"\xff"}',
        b'{"cmd":"\\ud800"}',
        '{"cmd":"x"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"cmd":"x"}',
        b'{"cmd":"\x00"}',
        b'{"cmd":01}',
    ],
)
def test_what_is_not_json_is_told_apart_from_what_does_not_fit(body: bytes) -> None:
    with pytest.raises(NotJson):
        read(body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'"text"', ""),
        (b"[]", ""),
        (b"{}", "/cmd"),
        (b'{"cmd":5}', "/cmd"),
        (b'{"cmd":"x","new":1}', "/new"),
        (b'{"cmd":"x","args":["a",1]}', "/args/1"),
        (b'{"cmd":"x","env":{"a b":"v"}}', "/env"),
        (b'{"cmd":"x","env":{"LD_PRELOAD":"v"}}', "/env"),
        (b'{"cmd":"x","env":{"PYTHONPATH":"v"}}', "/env"),
        (b'{"cmd":"x","env":{"BASH_ENV":"v"}}', "/env"),
        (b'{"cmd":"x","max_time":true}', "/max_time"),
        (b'{"cmd":"x","max_time":1.0}', "/max_time"),
        (b'{"cmd":"x","max_time":"5"}', "/max_time"),
        (b'{"cmd":"x","max_time":-2}', "/max_time"),
        (b'{"cmd":"x","max_time":1e308}', "/max_time"),
        (b'{"cmd":"x","max_time":1e999}', "/max_time"),
        (b'{"cmd":"x","max_time":9223372036854775808}', "/max_time"),
        (b'{"cmd":"x","max_time":' + b"1" * 5000 + b"}", "/max_time"),
        (b'{"cmd":"\\u0000"}', "/cmd"),
        (b'{"cmd":"x","workingdir":"a\\u0000b"}', "/workingdir"),
        (b'{"cmd":"x","workingdir":"a","working_dir":"b"}', "/workingdir"),
        (b'{"cmd":"x","name":"a\\nb"}', "/name"),
        (b'{"cmd":"x","user":"a b"}', "/user"),
        (b'{"cmd":"x","user":"-x"}', "/user"),
        (b'{"cmd":"x","umask":"888"}', "/umask"),
        (b'{"cmd":"x","umask":22}', "/umask"),
        (b'{"cmd":"x","shell":1}', "/shell"),
        (b'{"cmd":"x","limits":{"cores":1}}', "/limits"),
        (b'{"cmd":"x","limits":{"nofile":-1}}', "/limits/..."),
        (b'{"cmd":"x","stop_signal":"SIGFOO"}', "/stop_signal"),
        (b'{"cmd":"x","recurring_period":0.001}', "/recurring_period"),
        (b'{"cmd":"x","recurring_period":-1}', "/recurring_period"),
        (b'{"cmd":"x","recurring_period":1000000000000}', "/recurring_period"),
        (b'{"cmd":"x","recurring_period":5,"max_time":-1}', "/max_time"),
        (b'{"cmd":"x","max_restart":-1}', "/max_restart"),
        (b'{"cmd":"x","max_restart":1001}', "/max_restart"),
        (b'{"cmd":"x","loglevels":"1-1000000000"}', "/loglevels"),
        (b'{"cmd":"x","loglevels":"9-1"}', "/loglevels"),
        (b'{"cmd":"x","loglevels":"*,*"}', "/loglevels"),
        (b'{"cmd":"x","loglevels":""}', "/loglevels"),
        (b'{"cmd":"x","loglevels_ac":"0"}', "/loglevels_ac"),
        (json.dumps({"cmd": "x", **{str(n): 1 for n in range(80_000)}}).encode(), "/0"),
        (b'{"cmd":"x","' + b"k" * 1_000_000 + b'":1}', "/" + "k" * 1_000_000),
    ],
)
def test_json_that_does_not_fit_is_refused_at_its_place(body: bytes, pointer: str) -> None:
    with pytest.raises(Misfit) as caught:
        read(body)
    assert caught.value.pointer == pointer
    assert len(caught.value.message) <= 500


def test_too_many_bytes_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(NotJson, match="more than"):
        decode_strict(ExecuteArgs, b" " * 11, max_bytes=10)


def test_minus_zero_is_zero() -> None:
    assert read(b'{"cmd":"x","max_time":-0}').max_time == 0


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused_or_read(body: bytes) -> None:
    try:
        read(body)
    except (NotJson, Misfit):
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_json_does_anything_but_be_refused_or_read(value: object) -> None:
    try:
        read(json.dumps({"cmd": "x", "args": value}).encode())
    except (NotJson, Misfit):
        return
