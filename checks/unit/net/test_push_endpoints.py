"""Addresses of push services, which come from browsers."""

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.net import push_endpoints


@pytest.mark.parametrize(
    ("text", "origin", "url"),
    [
        (
            "https://fcm.googleapis.com/fcm/send/abc:DEF-_=?x=1&y",
            "https://fcm.googleapis.com",
            "https://fcm.googleapis.com/fcm/send/abc:DEF-_=?x=1&y",
        ),
        ("https://Push.Example:443/a", "https://push.example", None),
        ("https://push.example.:8443/a", "https://push.example:8443", None),
        ("https://[2001:4860:4860::8888]/a", "https://[2001:4860:4860::8888]", None),
    ],
)
def test_what_browsers_say(text: str, origin: str, url: str | None) -> None:
    found = push_endpoints.read(text)
    assert found.origin == origin
    assert found.url == (url or f"{origin}/a")
    assert push_endpoints.read(found.url) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://push.example/a",
        "HTTPS://push.example/a",
        "file:///etc/passwd",
        "https:push.example/a",
        "https:///a",
        "https://push.example",
        "https://push.example?a",
        "https://user@push.example/a",
        "https://user:pass@push.example/a",
        "https://push.example:0/a",
        "https://push.example:99999/a",
        "https://push.example:/a",
        "https://push.example:44x/a",
        "https://push.example\\@evil.example/a",
        "https://push.example/a b",
        "https://push.example/a#b",
        "https://push.example/a\\b",
        "https://push.example/a\r\nHost: evil.example",
        "https://push.example/\u20ac",
        "https://p\u0456sh.example/a",
        "https://2130706433/a",
        "https://0x7f.1/a",
        "https://127.1/a",
        "https://[::1%25lo]/a",
        "https://[fe80::1%eth0]/a",
        "https://push.example/" + "a" * 1024,
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(HiveError, match="Invalid push endpoint") as caught:
        push_endpoints.read(text)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert "/a" not in caught.value.message  # it may be a secret


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.7", "169.254.169.254", "192.168.1.1"),
        *("[::1]", "[fd00::1]", "[fe80::1]", "[::ffff:127.0.0.1]"),
    ],
)
def test_private_addresses_are_refused_unless_allowed(address: str) -> None:
    host = push_endpoints.read(f"https://{address}:8443/a").host
    with pytest.raises(HiveError, match="no public address") as caught:
        push_endpoints.check(host, ())
    assert caught.value.code is ErrorCode.FORBIDDEN
    with pytest.raises(HiveError):
        push_endpoints.check(host, (address,))  # ports 80 and 443
    push_endpoints.check(host, (f"{address}:8443",))


def test_this_machines_own_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    host = push_endpoints.read("https://1.1.1.1/a").host
    push_endpoints.check(host, ())
    monkeypatch.setattr(
        push_endpoints, "is_ours", lambda address: address == host.address
    )
    with pytest.raises(HiveError, match="this machine's own"):
        push_endpoints.check(host, ())
    push_endpoints.check(host, ("1.1.1.1",))


def test_a_name_is_judged_when_it_is_looked_up() -> None:
    push_endpoints.check(push_endpoints.read("https://push.lan/a").host, ())
