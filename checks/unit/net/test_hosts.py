"""Hosts that an agent may reach: valid entries, their meaning, and invalid ones."""

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.net import hosts
from pyglue.net.hosts import Host, asked, parse


def host(text: str) -> Host:
    """Return what is asked for."""
    found = asked(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("github.com", "github.com:443"),
        ("github.com", "GitHub.COM:80"),
        ("github.com", "github.com.:443"),
        ("*.example.org", "a.example.org:443"),
        ("*.example.org", "a.b.example.org:443"),
        ("db.example.org:5432", "db.example.org:5432"),
        ("*.example.org:22", "git.example.org:22"),
        ("192.0.2.7", "192.0.2.7:443"),
        ("[2001:db8::7]", "[2001:DB8:0::7]:443"),
        ("[2001:db8::7]:8443", "[2001:db8::7]:8443"),
        ("localhost", "localhost:443"),
        ("_x.example.org", "_x.example.org:443"),
    ],
)
def test_an_entry_lets_through(entry: str, text: str) -> None:
    """The same name, any case, with the default ports or the one that it names."""
    assert parse(entry).allows(host(text))
    assert hosts.allows(["other.example", entry], host(text))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("github.com", "gist.github.com:443"),
        ("github.com", "github.com:22"),
        ("github.com", "github.com.evil.example:443"),
        ("github.com", "notgithub.com:443"),
        ("*.example.org", "example.org:443"),
        ("*.example.org", "badexample.org:443"),
        ("*.example.org", "a.example.org:8443"),
        ("db.example.org:5432", "db.example.org:443"),
        ("192.0.2.7", "192.0.2.70:443"),
        ("example.org", "192.0.2.7:443"),
        ("*.example.org", "192.0.2.7:443"),
    ],
)
def test_an_entry_does_not_let_through(entry: str, text: str) -> None:
    """Another name, another port, a name above, an address."""
    assert not parse(entry).allows(host(text))


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.", "*.com", "*.192.0.2.7", "a.*.org", "*a.org", "**.example.org"),
        *("GitHub.com", "github.com.", ".github.com", "a..org", "-a.org", "a-.org"),
        *("a.org:0", "a.org:65536", "a.org:x", "a.org:", ":443", "a.org:443:443"),
        *("https://a.org", "a.org/x", "u@a.org", "a b.org", "a.org\n", "bücher.de"),
        *("1", "1.2.3", "1.2.3.4.5", "0x7f.1", "a.1", "127.1", "2130706433"),
        *("2001:db8::7", "[2001:db8::7", "[::1%eth0]", "[192.0.2.7]", "[x]"),
        *("a" * 64 + ".org", "a." * 126 + "toolong"),
    ],
)
def test_an_invalid_entry_is_refused(text: str) -> None:
    """The sentence shows it, and what to write."""
    with pytest.raises(HiveError, match="Invalid host") as caught:
        parse(text)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert "github.com" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        *("github.com", "github.com:", "github.com:0", "github.com:99999"),
        *("0x7f000001:80", "2130706433:80", "127.1:80", "0177.0.0.1:80"),
        *("::1:80", "[::1]", "[fe80::1%eth0]:80", "a b:80", "a\x00b:80", "*.a.org:80"),
    ],
)
def test_what_is_no_host_is_asked_for_in_vain(text: str) -> None:
    """Spellings that a C library would take for an address, above all."""
    assert asked(text) is None


@pytest.mark.parametrize(
    ("outer", "inner", "covers"),
    [
        ("github.com", "github.com", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "*.a.example.org", True),
        ("*.example.org", "*.example.org", True),
        ("*.example.org", "example.org", False),
        ("a.example.org", "*.example.org", False),
        ("example.org", "*.example.org", False),
        ("github.com", "github.com:22", False),
        ("github.com:443", "github.com", False),
        ("github.com", "github.com:443", True),
        ("*.example.org:22", "a.example.org:22", True),
        ("*.b.example.org", "*.example.org", False),
        ("192.0.2.7", "192.0.2.7:80", True),
    ],
)
def test_an_operators_entry_covers(outer: str, inner: str, covers: bool) -> None:
    """Only what lets through nothing else."""
    assert parse(outer).covers(parse(inner)) is covers


def test_the_entry_for_a_host_lets_it_through() -> None:
    """What is proposed to be allowed is what was refused, and no more."""
    for text in ("a.example.org:443", "a.org:22", "192.0.2.7:80", "[2001:db8::7]:9"):
        found = host(text)
        assert parse(found.entry).allows(found)
    assert host("github.com:443").entry == "github.com"
    assert host("[2001:db8::7]:443").entry == "[2001:db8::7]"
