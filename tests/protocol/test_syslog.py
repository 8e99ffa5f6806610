"""Syslog as it is sent, by tables; any bytes give one record, and no text of theirs forges another."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.ids import node
from deployer.protocol.syslog import Received, Record, parse
from deployer.protocol.syslogparts import MAX_FIELDS, MAX_FIELDS_CHARS, MAX_NAME_CHARS
from deployer.protocol.times import epoch_ms_of, iso


def ms(text: str) -> int:
    return epoch_ms_of(datetime.fromisoformat(text).replace(tzinfo=UTC))


NOW = ms("2026-11-28T18:20:00")
HERE = Received(NOW, iso(NOW), "10.0.0.9")


def said(text: str | bytes, received: Received = HERE) -> Record:
    return parse(text, received)


@pytest.mark.parametrize(
    ("text", "host", "app", "procid", "body"),
    [
        ("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "mymachine", "su", "", "'su root' failed"),
        ("<34>Oct 11 22:14:15 mymachine su[12]: x", "mymachine", "su", "12", "x"),
        ("<34>Oct  1 22:14:15 m su[12]:x", "m", "su", "12", "x"),
        ("<34>Oct 1 22:14:15 m su: x", "m", "su", "", "x"),
        ("<34>Oct 11 22:14:15 fe80::1 su: x", "fe80::1", "su", "", "x"),
        ("<34>Oct 11 22:14:15 su[12]: no host", "10.0.0.9", "su", "12", "no host"),
        ("<34>Oct 11 22:14:15 su: no host", "10.0.0.9", "su", "", "no host"),
        ("<34>su: no time", "10.0.0.9", "su", "", "no time"),
        ("<34>nothing but a text", "10.0.0.9", "", "", "nothing but a text"),
        ("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!", "10.0.0.99", "", "", "Use the BFG!"),
        ("<34>", "10.0.0.9", "", "", ""),
        ("<34> ", "10.0.0.9", "", "", ""),
        ("<34>Oct 11 2026 22:14:15 m su: x", "m", "su", "", "x"),
        ("<34>2026 Oct 11 22:14:15 m su: x", "m", "su", "", "x"),
        ("<34>2026-10-11T22:14:15.123456+02:00 m su[3]: x", "m", "su", "3", "x"),
        ("<34>2026-10-11T22:14:15Z m su: x", "m", "su", "", "x"),
        ("<34>*Oct 11 22:14:15.123: m su: x", "m", "su", "", "x"),
        ("<34>Oct 11 22:14:15 m postfix/smtpd[3]: x", "m", "postfix/smtpd", "3", "x"),
        ("<34>Oct 11 22:14:15 m (sd-pam)[3]: x", "m", "(sd-pam)", "3", "x"),
        ("<166>Nov 28 2026 18:22:23: %ASA-6-302013: Built", "10.0.0.9", "ASA", "", "%ASA-6-302013: Built"),
        ("<166>Nov 28 2026 18:22:23 fw1 : %ASA-6-302013: Built", "fw1", "ASA", "", "%ASA-6-302013: Built"),
        ("<166>%ASA-6-302013: Built", "10.0.0.9", "ASA", "", "%ASA-6-302013: Built"),
        ("<189>123: Nov 28 18:22:23.123 UTC: %SYS-5-CONFIG_I: by", "10.0.0.9", "SYS", "", "%SYS-5-CONFIG_I: by"),
        ("<189>123: sw1: *Nov 28 18:22:23: %LINK-3-UPDOWN: up", "sw1", "LINK", "", "%LINK-3-UPDOWN: up"),
        ("<34>Oct 11 22:14:15 m su: x\n", "m", "su", "", "x"),
        ("<34>Oct 11 22:14:15 m su: x\x00", "m", "su", "", "x"),
    ],
)
def test_rfc_3164_is_read_as_devices_send_it(text: str, host: str, app: str, procid: str, body: str) -> None:
    record = said(text)
    assert (record.host, record.app, record.more.get("procid", ""), record.text) == (host, app, procid, body)
    assert not record.error


@pytest.mark.parametrize(
    ("text", "received", "epoch"),
    [
        ("<34>Nov 28 18:19:59 m su: x", "2026-11-28T18:20:00", "2026-11-28T18:19:59"),
        ("<34>Dec 31 23:59:58 m su: x", "2027-01-01T00:00:01", "2026-12-31T23:59:58"),
        ("<34>Jan  1 00:00:01 m su: x", "2026-12-31T23:59:59", "2027-01-01T00:00:01"),
        ("<34>Feb 29 12:00:00 m su: x", "2028-03-01T00:00:00", "2028-02-29T12:00:00"),
        ("<34>Feb 29 12:00:00 m su: x", "2026-03-01T00:00:00", "2026-03-01T00:00:00"),
        ("<34>Xyz 12 12:00:00 m su: x", "2026-03-01T00:00:00", "2026-03-01T00:00:00"),
        ("<34>Feb 12 25:00:00 m su: x", "2026-03-01T00:00:00", "2026-03-01T00:00:00"),
        ("<34>Oct 11 2003 22:14:15 m su: x", "2026-03-01T00:00:00", "2003-10-11T22:14:15"),
        ("<34>Oct 11 22:14:15.25: m su: x", "2026-10-11T00:00:00", "2026-10-11T22:14:15.250"),
        ("<34>2026-10-11T22:14:15.123456+02:00 m su: x", "2026-03-01T00:00:00", "2026-10-11T20:14:15.123"),
        ("<34>1 2003-10-11T22:14:15.003Z m su - - - x", "2026-03-01T00:00:00", "2003-10-11T22:14:15.003"),
        ("<34>1 2003-10-11T22:14:15-07:00 m su - - - x", "2026-03-01T00:00:00", "2003-10-12T05:14:15"),
        ("<34>1 - m su - - - x", "2026-03-01T00:00:00", "2026-03-01T00:00:00"),
    ],
)
def test_a_time_without_a_year_is_the_nearest_and_one_that_is_none_that_of_reception(
    text: str, received: str, epoch: str
) -> None:
    at = ms(received)
    assert iso(said(text, Received(at, iso(at), "h")).epoch) == iso(ms(epoch))


def test_a_time_without_a_zone_is_in_the_masters() -> None:
    there = Received(NOW, iso(NOW), "h", offset_s=7200)
    assert said("<34>Nov 28 20:19:59 m su: x", there).epoch == NOW - 1000
    assert said("<34>1 2026-11-28T18:19:59Z m su - - - x", there).epoch == NOW - 1000


@pytest.mark.parametrize(
    ("text", "body", "more"),
    [
        ("<165>1 2003-10-11T22:14:15.003Z h app 1 ID47 - \ufeffx", "x", {"procid": "1", "msgid": "ID47"}),
        ("<165>1 - - - - - - x", "x", {}),
        ("<165>1 - - - - - -", "", {}),
        ("<165>1 - - - - - - ", "", {}),
        ('<165>1 - - - - - [a@1 k="v"] x', "x", {"sd.a@1.k": "v"}),
        ('<165>1 - - - - - [a@1 k="v" l="w"][b@1] x', "x", {"sd.a@1.k": "v", "sd.a@1.l": "w", "sd.b@1": ""}),
        (r'<165>1 - - - - - [a k="\"\\\]\n"]', "", {"sd.a.k": r'"\]\n'}),
        ('<165>1 - - - - - [a k=""] x', "x", {"sd.a.k": ""}),
        ('<165>1 - - - - - [parse_error][from k="v"] x', "x", {"sd.parse_error": "", "sd.from.k": "v"}),
    ],
)
def test_rfc_5424_is_read_with_its_structured_data(text: str, body: str, more: dict[str, str]) -> None:
    record = said(text)
    head = {"facility": "local4", "severity": "notice", "received": HERE.at}
    left = {key: value for key, value in record.more.items() if key != "from"}
    assert (record.text, left, record.error) == (body, {**head, **more}, False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<",
        "<>x",
        "<-1>x",
        "<192>x",
        "<999>x",
        "<1234>x",
        "<٣>x",
        "no priority",
        "<34>1 ",
        "<34>1 x",
        "<34>1 yesterday h app - - - x",
        "<34>1 2003-13-11T22:14:15Z h app - - - x",
        "<34>1 2003-10-11T22:14:60Z h app - - - x",
        "<34>1 2003-10-11T22:14:15 h app - - - x",
        '<34>1 - h app - - [a k="v" x',
        '<34>1 - h app - - [a k="v"]x',
        '<34>1 - h app - - [a k="' + "v" * 60_000,
        "<34>1 - h app - - [" + "a " * 30_000,
        "<34>1 - h app - - " + "[a]" * 20_000 + "[",
        "<34>1 - h app - - -x",
    ],
)
def test_what_cannot_be_parsed_is_kept_as_it_came_with_the_reason(text: str) -> None:
    record = said(text)
    assert (record.level, record.epoch, record.host, record.app, record.text) == (5, NOW, "10.0.0.9", "", text)
    assert record.error
    assert record.more.keys() == {"received", "parse_error"}


@pytest.mark.parametrize(
    ("priority", "level", "facility", "severity"),
    [
        (0, 9, "kern", "emerg"),
        (1, 9, "kern", "alert"),
        (34, 9, "auth", "crit"),
        (3, 8, "kern", "err"),
        (12, 7, "user", "warning"),
        (13, 3, "user", "notice"),
        (14, 5, "user", "info"),
        (191, 5, "local7", "debug"),
    ],
)
def test_severities_are_levels_and_kept_by_name(priority: int, level: int, facility: str, severity: str) -> None:
    record = said(f"<{priority}>su: x")
    assert (record.level, record.more["facility"], record.more["severity"]) == (level, facility, severity)


@pytest.mark.parametrize(
    "body",
    [
        '{"a":1,"b":"x","c":{"d":[true]}}',
        '@cee:{"a":1,"b":"x","c":{"d":[true]}}',
        '@cee: {"a":1,"b":"x","c":{"d":[true]}}',
    ],
)
def test_a_json_body_is_fields_and_structured(body: str) -> None:
    record = said(f"<14>Oct 11 22:14:15 m su: {body}")
    assert record.level == 6
    assert json.loads(record.text)["a"] == 1
    assert [record.more[f"json.{key}"] for key in "abc"] == ["1", "x", '{"d":[true]}']
    assert said(f"<12>Oct 11 22:14:15 m su: {body}").level == 7


@pytest.mark.parametrize("body", ["{", "{a}", "[1]", '{"a":1} and more', "@cee:", '{"a":' * 10_000, '{"a":"\ud800"}'])
def test_a_body_that_is_no_object_is_text(body: str) -> None:
    record = said(f"<14>su: {body}")
    assert record.level == 5
    assert not [key for key in record.more if key.startswith("json")]


def test_no_text_looks_like_another_message() -> None:
    record = said(b"<14>su: one\n<14>Oct 11 22:14:15 m sshd: forged\r\x1b[2J\x00two\xff\x7f\xe2\x80\xa8\tend")
    assert record.text == "one#012<14>Oct 11 22:14:15 m sshd: forged#015#033[2J#000two\ufffd#177#u2028\tend"
    named = said("<14>1 - h\nost a\x1bpp p\r m - x")
    assert (named.host, named.app, named.more["procid"]) == ("h#012ost", "a#033pp", "p#015")


def test_fields_are_bounded_in_number_and_size() -> None:
    many = said("<14>su: " + json.dumps({f"k{number}": "v" for number in range(1000)}))
    assert len(many.more) <= MAX_FIELDS + 8
    assert many.more["fields_dropped"] == str(1000 - MAX_FIELDS)
    large = said("<14>su: " + json.dumps({f"k{number}": "v" * 1000 for number in range(50)}))
    assert sum(map(len, large.more.values())) < MAX_FIELDS_CHARS + 500
    assert said("<14>su: " + json.dumps({"k": "v" * 5000})).more["json.k"].endswith("v…")
    assert len(said(f"<14>1 - {'h' * 5000} - - - - x").host) == MAX_NAME_CHARS


def test_nothing_that_a_message_says_replaces_what_we_say() -> None:
    record = said('<14>1 - h su - - [received][severity] {"severity":"emerg","received":"0","from":"x"}')
    assert (record.more["severity"], record.more["received"], record.more["from"]) == ("info", HERE.at, "10.0.0.9")


_PIECES = st.sampled_from(
    ["<34>", "<999>", "1 ", "-", " ", "Oct 11 22:14:15", "2026-10-11T22:14:15Z", "[a@1 ", 'k="v"', "]", "\\", ":",
     "%ASA-6-1:", "@cee:{", '{"a":1}', "\n", "\x00", "\ufeff", "\u2028", "su[1]:", "host", "*", "1: ", "é"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(_PIECES, max_size=20).map(lambda some: "".join(some).encode())))
def test_any_datagram_is_one_record_that_can_be_stored(data: bytes) -> None:
    record = said(data)
    for text in (record.text, record.host, record.app, *record.more, *record.more.values()):
        assert not any((ord(c) < 32 and c != "\t") or c in "\u2028\u2029\x7f" for c in text)
    assert record.level in {3, 5, 6, 7, 8, 9}
    assert 0 <= record.epoch <= 253_402_300_799_999
    assert node(record.app)
    msgspec.json.encode(record)
    assert ("parse_error" in record.more) == record.error
