"""A real hive tells the operator elsewhere, and says when it cannot."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from checks.kits.hive import running_hive
from pyglue.api import operator as api
from pyglue.api.agent import ASK
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState
from pyglue.api.questions import AskParams

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
    thread = threading.Thread(target=made.server.serve_forever)
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
        phone.fails = True
        await alice.call(ASK, AskParams(question="And now?"))

        async def failed() -> str | None:
            checks = (await hive.operator.call(api.DOCTOR, NoParams())).checks
            (one,) = [check for check in checks if check.name == "notifications"]
            return one.message if one.state is CheckState.PROBLEM else None

        said = await hive.until(failed, "the failure", every=0.05)
        assert said.startswith("The newest notification could not be sent: JSON did ")
        alice.close()
