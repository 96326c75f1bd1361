"""The dashboard with TLS and behind proxies: certificate, cookies, trusted headers."""

import http.client
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask, request

from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.web import app as web_kit
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Page, hive_web
from checks.kits.web.hive import FakeHive
from pyglue import config
from pyglue.config import WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.web import main
from pyglue.web.app import create_app
from pyglue.web.guard import tls
from pyglue.web.guard.proxy import TrustedProxies

pytestmark = pytest.mark.needs("openssl")


@dataclass
class Pair:
    """A certificate for hive.example that signed itself, and its key."""

    cert: Path
    key: Path


def make_pair(room: Path, name: str) -> Pair:
    """Make one with openssl."""
    pair = Pair(room / f"{name}.pem", room / f"{name}.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", "/CN=hive", "-addext", "subjectAltName=DNS:hive.example"),
            *("-keyout", str(pair.key), "-out", str(pair.cert)),
        ],
        check=True,
        capture_output=True,
    )
    return pair


@dataclass
class Running:
    """A hive-web that speaks TLS, before a fake hive."""

    hive: FakeHive
    port: int
    pair: Pair

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.pair.cert))

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        return self.context().wrap_socket(plain, server_hostname="hive.example")

    def ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE_S
        )
        connection.sock = self.connect()
        host = f"hive.example:{self.port}"
        connection.request(method, path, body, {"Host": host, **headers})
        return connection.getresponse()

    @property
    def cookie_name(self) -> str:
        return f"__Host-hive_{self.port}"

    def cookie(self) -> str:
        return f"{self.cookie_name}={self.hive.new_session()}"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"), "own")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Running]:
    home, port = tmp_path_factory.mktemp("web"), free_port()
    settings = WebConfig(
        port=port,
        external_url=f"https://hive.example:{port}",
        tls_cert=str(pair.cert),
        tls_key=str(pair.key),
        agent_ports=False,
    )
    with (
        fake_hive.running(home / "operator.sock") as hive,
        hive_web(home, port, settings),
    ):
        yield Running(hive, port, pair)


def test_a_page_is_served_and_browsers_are_told_to_stay_with_https(
    web: Running,
) -> None:
    answer = web.ask("GET", "/", Cookie=web.cookie())
    assert answer.status == 200
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_without_tls_nothing_is_answered(web: Running) -> None:
    plain = http.client.HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE_S)
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.request("GET", "/login")
        plain.getresponse()


def test_the_session_is_a_secure_cookie_of_this_host(web: Running) -> None:
    form = urlencode({"code": web.hive.new_code()})
    answer = web.ask(
        "POST",
        "/login",
        form,
        Origin=f"https://hive.example:{web.port}",
        **{"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status in {302, 303}
    jar = SimpleCookie(answer.headers["Set-Cookie"])
    assert jar[web.cookie_name]["secure"] and jar[web.cookie_name]["httponly"]


def test_a_form_from_the_same_host_without_https_is_refused(web: Running) -> None:
    answer = web.ask("POST", "/login", "", Origin=f"http://hive.example:{web.port}")
    assert answer.status == 403


def test_live_events_flow_while_the_browser_says_nothing(web: Running) -> None:
    ws = Page(
        f"wss://hive.example:{web.port}/live",
        headers={"Origin": f"https://hive.example:{web.port}", "Cookie": web.cookie()},
        ssl_context=web.context(),
    )
    ws.until("up")
    for _ in range(3):
        seq = web.hive.emit("agent.state", "alice", state="idle")
        assert ws.until("event")["seq"] == seq
    ws.close()


# --- what is refused at the start ----------------------------------------------------


def https(pair: Pair, **changes: Any) -> WebConfig:
    """Return settings with TLS, and these changes."""
    settings: dict[str, Any] = {
        "external_url": "https://hive.example:7000",
        "tls_cert": str(pair.cert),
        "tls_key": str(pair.key),
    }
    return WebConfig(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tls_key": None}, "must both be set"),
        ({"tls_cert": None}, "must both be set"),
        ({"external_url": "http://hive.example:7000"}, "must begin with https://"),
        ({"external_url": None}, "must begin with https://"),
        ({"external_url": "https://127.0.0.1:7000"}, "must not name loopback"),
        ({"external_url": "https://me.localhost:7000"}, "must not name loopback"),
        ({"tls_cert": "/nonexistent/c.pem"}, "cannot be read: No such file"),
        ({"tls_cert": "/etc/passwd"}, "cannot be used"),
    ],
)
def test_a_wrong_certificate_is_named(
    pair: Pair, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(HiveError) as caught:
        tls.load(https(pair, **changes))
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert says in caught.value.message


def test_a_key_of_another_certificate_is_refused(pair: Pair, tmp_path: Path) -> None:
    other = make_pair(tmp_path, "other")
    with pytest.raises(HiveError) as caught:
        tls.load(https(pair, tls_key=str(other.key)))
    assert "mismatch" in caught.value.message


def test_an_encrypted_key_does_not_ask_for_its_password(
    pair: Pair, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    subprocess.run(
        [
            *("openssl", "pkcs8", "-topk8", "-passout", "pass:secret"),
            *("-in", str(pair.key), "-out", str(locked)),
        ],
        check=True,
        capture_output=True,
    )
    with pytest.raises(HiveError) as caught:
        tls.load(https(pair, tls_key=str(locked)))
    assert "cannot be used" in caught.value.message


def test_the_process_says_what_is_wrong_and_ends(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    wrong = https(pair, tls_cert="/nonexistent/c.pem")
    file.write_bytes(config.dump(web_kit.settings(tmp_path, wrong)))
    done = subprocess.run(
        [sys.executable, "-m", "pyglue.web.main", "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "/nonexistent/c.pem" in done.stderr
    assert "Traceback" not in done.stderr


# --- proxies -------------------------------------------------------------------------

FORWARDED = {
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
}


def seen_by(peer: str, proxies: tuple[str, ...]) -> dict[str, str]:
    """Return what an app makes of a forwarded request that ``peer`` sends."""
    app = Flask("seen")

    @app.get("/")
    def root() -> dict[str, str]:
        return {
            "from": request.remote_addr or "",
            "scheme": request.scheme,
            "host": request.host,
            "left": request.headers.get("X-Forwarded-For", ""),
        }

    app.wsgi_app = TrustedProxies(app.wsgi_app, proxies)  # type: ignore[method-assign]
    answer = app.test_client().get(
        "/", headers=FORWARDED, environ_base={"REMOTE_ADDR": peer}
    )
    found: dict[str, str] = answer.get_json()
    return found


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_trusted_proxy_says_who_asks_and_how_but_not_for_which_host(
    peer: str,
) -> None:
    found = seen_by(peer, ("127.0.0.1", "::1"))
    assert (found["from"], found["scheme"]) == ("198.51.100.7", "https")
    assert found["host"] == "localhost"


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.9", "", "unix:"])
def test_nobody_else_is_believed(peer: str) -> None:
    found = seen_by(peer, ("192.0.2.1",))
    assert (found["scheme"], found["left"]) == ("http", "")
    assert found["from"] != "198.51.100.7"


def test_a_proxy_that_is_no_address_is_refused(tmp_path: Path) -> None:
    wrong = web_kit.settings(tmp_path, WebConfig(trusted_proxies=("proxy.example",)))
    with pytest.raises(HiveError) as caught:
        create_app(wrong)
    assert "proxy.example" in caught.value.message


def test_gunicorn_itself_believes_nobody() -> None:
    settings = main.settings(7)
    assert settings["forwarded_allow_ips"] == settings["forwarder_headers"] == ""
    assert settings["secure_scheme_headers"] == {}
