"""A real hive notifies the operator elsewhere, and reports failures."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from checks.kits.cli import run
from checks.kits.egress.bench import make_certificate
from checks.kits.host.hive import running_hive
from checks.kits.host.push import Device, claims, push_service
from pyglue.api import operator as api
from pyglue.api.agent import ASK
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState
from pyglue.api.push import PushRemoveParams
from pyglue.api.questions import AskParams
from pyglue.config import WebPushConfig
from pyglue.errors import ErrorCode, HiveError

pytestmark = pytest.mark.needs("nix", "git")


class Phone:
    """Takes notifications on loopback, as an endpoint of JSON."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.fails = False
        phone = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                phone.got.append(json.loads(self.rfile.read(length))["message"])
                self.send_response(500 if phone.fails else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def phone() -> Iterator[Phone]:
    made = Phone()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


async def test_a_question_reaches_the_operator_elsewhere(
    tmp_path: Path, phone: Phone
) -> None:
    urls = f"json://127.0.0.1:{phone.server.server_port}/\n"
    async with running_hive(tmp_path, peers=True, notify_urls=urls) as hive:
        alice = await hive.as_agent("alice")
        asked = await alice.call(ASK, AskParams(question="hunter2: red or blue?"))

        async def came() -> bool | None:
            found = f"alice asks question {asked.question}" in phone.got
            return True if found else None

        await hive.until(came, "a notification", every=0.05)
        assert not any("hunter2" in text for text in phone.got)
        listed = (await hive.operator.call(api.EXPOSURE, NoParams())).listeners
        (ours,) = [one for one in listed if one.name == "notify"]
        assert ours.problem is None
        assert not any(one.name == "not declared" for one in listed)
        assert (await hive.operator.call(api.STATUS, NoParams())).push_key is None
        with pytest.raises(HiveError, match="Web Push is off") as caught:
            await hive.operator.call(
                api.PUSH_SUBSCRIBE, Device().subscription("https://push.example/x")
            )
        assert caught.value.code is ErrorCode.CONFLICT
        assert not (hive.state / "web-push.json").exists()
        phone.fails = True
        await alice.call(ASK, AskParams(question="And now?"))

        async def failed() -> str | None:
            checks = (await hive.operator.call(api.DOCTOR, NoParams())).checks
            (one,) = [check for check in checks if check.name == "notifications"]
            return one.message if one.state is CheckState.PROBLEM else None

        said = await hive.until(failed, "the failure", every=0.05)
        assert said.startswith("The newest notification could not be sent: JSON did ")
        alice.close()


async def test_a_question_reaches_a_browser_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = make_certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    async with push_service(tls) as service:
        allowed = WebPushConfig(enable=True, private_hosts=(service.host,))
        async with running_hive(tmp_path, peers=True, web_push=allowed) as hive:
            key = (await hive.operator.call(api.STATUS, NoParams())).push_key
            device = Device(auth=b"e" * 16)
            subscription = device.subscription(f"{service.origin}/send/1")
            made = await hive.operator.call(api.PUSH_SUBSCRIBE, subscription)
            alice = await hive.as_agent("alice")
            asked = await alice.call(ASK, AskParams(question="hunter2: red or blue?"))
            (got,) = await service.until(1)
            title = f"alice asks question {asked.question}"
            assert device.note(got.body) == {
                **{"title": title, "path": "/", "tag": f"question-{asked.question}"}
            }
            said, signed_with = claims(got.headers["authorization"])
            assert (said["aud"], signed_with) == (service.origin, key)
            kept = hive.state / "web-push.json"
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            assert kept.stat().st_uid == os.geteuid()
            logs = [file.read_text() for file in (hive.state / "logs").glob("*.log")]
            assert not any("/send/1" in text for text in logs)

            socket = ("--socket", hive.local.config.layout.operator_socket)
            words = ("notifications", "list", *socket)
            listed_as = run.typed(*words).out
            assert "browsers     1" in listed_as and "Firefox on Linux" in listed_as
            assert "localhost" in listed_as and "/send/1" not in listed_as
            wrong = run.typed("notifications", "remove", *socket)
            assert "hive notifications remove ID" in wrong.refusal()

            service.status = 410
            tested = run.typed("notifications", "test", *socket)
            assert tested.out == "A test notification is being sent.\n"

            async def removed() -> bool | None:
                found = await hive.operator.call(api.NOTIFICATIONS, NoParams())
                return None if found.browsers else True

            await hive.until(removed, "the removal", every=0.05)
            with pytest.raises(HiveError, match="No browser"):
                await hive.operator.call(api.PUSH_REMOVE, PushRemoveParams(id=made.id))
            listed = (await hive.operator.call(api.EXPOSURE, NoParams())).listeners
            (ours,) = [one for one in listed if one.name == "notify"]
            assert ours.problem is None
            alice.close()
