"""Whom events may be told: URLs and addresses by tables; signatures; when it is tried again."""

import hashlib
import hmac
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.webhooks import Destination, destination, require_allowed, retry_s, signature


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", Destination(True, "example.com", 443, "/")),
        ("http://example.com:8080/a/b?c=d", Destination(False, "example.com", 8080, "/a/b?c=d")),
        ("https://8.8.8.8/", Destination(True, "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]:8443/x", Destination(True, "2606:4700::1111", 8443, "/x")),
        ("https://EXAMPLE.com/", Destination(True, "example.com", 443, "/")),
    ],
)
def test_a_url_leads_somewhere(url: str, expected: Destination) -> None:
    assert destination(url, ()) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gopher://example.com/", "only http"),
        ("file:///etc/passwd", "only http"),
        ("//example.com/", "only http"),
        ("https://user:pass@example.com/", "no user"),
        ("https://user@example.com/", "no user"),
        ("https://example.com/#x", "fragment"),
        ("https:///x", "no host"),
        ("https://exa mple.com/", "printable"),
        ("https://example.com\\@127.0.0.1/", "printable"),
        ("https://ex\nample.com/", "printable"),
        ("https://m\u00fcller.example/", "ASCII"),
        ("http://example.com:6379/", "6379"),
        ("http://example.com:22/", "22"),
        ("http://example.com:99999/", "Port"),
        ("http://example.com:x/", "Port"),
        ("http://127.0.0.1/", "not a public"),
        ("http://127.1/", "not a public"),
        ("http://0x7f.1/", "not a public"),
        ("http://2130706433/", "not a public"),
        ("http://0177.0.0.1/", "not a public"),
        ("http://10.0.0.1/", "not a public"),
        ("http://169.254.169.254/latest/meta-data", "not a public"),
        ("http://[::1]/", "not a public"),
        ("http://[::]/", "not a public"),
        ("http://[::ffff:127.0.0.1]/", "not a public"),
        ("http://[fe80::1%25lo]/", "not a public"),
        ("http://[fc00::1]/", "not a public"),
        ("http://[2002:7f00:1::]/", "not a public"),
        ("http://[64:ff9b::7f00:1]/", "not a public"),
        ("http://224.0.0.1/", "not a public"),
        ("http://0.0.0.0/", "not a public"),
        ("http://100.64.0.1/", "not a public"),
        ("http://192.88.99.1/", "not a public"),
        ("http://[64:ff9b:1::7f00:1]/", "not a public"),
        ("http://[fec0::1]/", "not a public"),
        ("http://[::7f00:1]/", "not a public"),
        ("http://[3fff::1]/", "not a public"),
        ("http://[5f00::1]/", "not a public"),
    ],
)
def test_a_url_that_may_not_be_told_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        destination(url, ())


def test_an_operator_may_allow_networks() -> None:
    allowed = [ipaddress.ip_network("10.1.0.0/16")]
    assert destination("http://10.1.2.3/", allowed).host == "10.1.2.3"
    with pytest.raises(ValueError, match="not a public"):
        destination("http://10.2.0.1/", allowed)
    require_allowed(ipaddress.ip_address("::ffff:10.1.2.3"), allowed)


@given(st.text(max_size=60))
def test_any_text_is_judged_and_nothing_else_happens(text: str) -> None:
    for url in (text, f"https://{text}/", f"http://a.example:{text}/"):
        try:
            found = destination(url, ())
        except ValueError:
            continue
        assert found.host
        assert 0 < found.port < 65536


def test_a_signature_is_what_a_receiver_computes() -> None:
    told = signature("secret", 1700000000, b'{"a": 1}')
    expected = hmac.new(b"secret", b'1700000000.{"a": 1}', hashlib.sha256).hexdigest()
    assert told == f"t=1700000000,v1={expected}"


def test_it_is_tried_again_later_each_time_and_at_least_once_an_hour() -> None:
    waits = [retry_s(n) for n in range(1, 2000)]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits == sorted(waits)
    assert waits[-1] == 3600
