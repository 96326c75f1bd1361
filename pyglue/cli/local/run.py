"""``hive run``: a local hive in the foreground, until Ctrl-C."""

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from pyglue.api.common import NoParams
from pyglue.api.inbox import MessagesParams, OperatorSendParams
from pyglue.api.operator import LOGIN_CODE, MESSAGES, OPERATOR_SEND, STATUS
from pyglue.cli.local import settings as local_settings
from pyglue.cli.local.configure import LocalOptions
from pyglue.cli.local.launcher import LocalHive, seconds_since
from pyglue.cli.local.settings import LocalCredential
from pyglue.cli.output import follow
from pyglue.cli.output.times import within
from pyglue.config import ANTHROPIC, Credential, WebPushConfig
from pyglue.demo import story
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import listed

_CREDENTIALS: Final = {
    "ANTHROPIC_API_KEY": Credential.API_KEY,
    "CLAUDE_CODE_OAUTH_TOKEN": Credential.SUBSCRIPTION,
    "ANTHROPIC_AUTH_TOKEN": Credential.GATEWAY,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``hive run``."""
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("HIVE_PORT", "7000"),
        help="port of the dashboard on 127.0.0.1 (HIVE_PORT, default 7000)",
    )
    parser.add_argument(
        "--notify-url-file",
        type=Path,
        default=os.environ.get("HIVE_NOTIFY_URL_FILE") or None,
        metavar="FILE",
        help="send notifications to the Apprise URLs in FILE (HIVE_NOTIFY_URL_FILE)",
    )
    parser.add_argument(
        "--web-push",
        action="store_true",
        default=os.environ.get("HIVE_WEB_PUSH") == "1",
        help="let browsers subscribe to notifications (HIVE_WEB_PUSH=1)",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        default=os.environ.get("HIVE_SETTINGS") or None,
        metavar="FILE",
        help="JSON file with models of a gateway and their prices (HIVE_SETTINGS)",
    )


def options(
    state: Path,
    port: int,
    *,
    notify_url_file: Path | None = None,
    web_push: bool = False,
    settings: Path | None = None,
) -> LocalOptions:
    """Return the start options, from the environment.

    Raises:
        HiveError: ``config_invalid`` for an invalid port, several credentials, or a
            file that cannot be read.
    """
    if not 1 <= port <= 65535:
        raise HiveError(
            ErrorCode.CONFIG_INVALID, f"Invalid port {port!r}: use 1 to 65535."
        )
    credential, key = _credential()
    upstream = os.environ.get("ANTHROPIC_BASE_URL") if key is not None else None
    plot = story.load()
    found = local_settings.read(settings)
    url = upstream or ANTHROPIC
    own = None if key is None else LocalCredential(credential, key, url)
    accounts = local_settings.accounts(found, own)
    default = accounts.all.get(accounts.default)
    return LocalOptions(
        state=state,
        port=port,
        api_key=None if default is None else default.key,
        credential=Credential.API_KEY if default is None else default.kind,
        upstream=url if default is None else default.upstream,
        accounts=accounts,
        script=story.PATH,
        agents=plot.agents if default is None else ("manager",),
        notify_urls=_text_of(notify_url_file),
        web_push=WebPushConfig(enable=web_push),
        settings=found,
    )


def _text_of(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID, f"Cannot read {file}: {error}."
        ) from error


def _credential() -> tuple[Credential, str | None]:
    """Return the only credential in the environment, by the CLI's variable names."""
    set_ones = [name for name in _CREDENTIALS if os.environ.get(name)]
    if len(set_ones) > 1:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"{listed(set_ones)} are set, but the hive uses one credential. Unset "
            "the others.",
        )
    if not set_ones:
        return Credential.API_KEY, None
    return _CREDENTIALS[set_ones[0]], os.environ[set_ones[0]]


def run(state: Path, arguments: argparse.Namespace) -> int:
    """Run in the foreground; return the exit code."""
    found = options(
        state,
        arguments.port,
        notify_url_file=arguments.notify_url_file,
        web_push=arguments.web_push,
        settings=arguments.settings,
    )
    return asyncio.run(_run(found))


def say(text: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _run(asked: LocalOptions) -> int:
    begun = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    hive = LocalHive(options=asked, say=say)
    say("Starting the hive …")
    try:
        await hive.start()
        await asyncio.to_thread(_introduce, hive, begun)
        ended = asyncio.create_task(hive.ended())
        asked_to_stop = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, asked_to_stop}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            sys.stderr.write(f"hive: {ended.result()}\n")
            return 1
        ended.cancel()
        say("\nStopping …")
        return 0
    finally:
        await hive.stop()


def _introduce(hive: LocalHive, begun: float) -> None:
    client = SyncClient(hive.config.layout.operator_socket, client="hive")
    try:
        login = client.call(LOGIN_CODE, NoParams())
        status = client.call(STATUS, NoParams())
        say(f"The hive is running (started in {seconds_since(begun)}).")
        say(f"  model      {status.model_source}")
        say(f"  isolation  {status.isolation}")
        for warning in status.warnings:
            say(f"  WARNING    {warning}")
        say(f"  dashboard  {login.url}")
        valid = f"valid once, {within(login.expires_at)}"
        say(f"             ({valid}; print another with `hive login`)")
        if hive.config.relay.scripted:
            _open_story(client)
        say("Press Ctrl-C to stop it.")
    finally:
        client.close()


def _open_story(client: SyncClient) -> None:
    """Send the scenario's first message, once per state directory."""
    plot = story.load()
    sent = client.call(MESSAGES, MessagesParams(limit=500)).messages
    if any(message.body == plot.request for message in sent):
        return
    say("The scripted scenario begins when the manager is up: watch the approvals.")
    try:
        follow.agents_known(client, plot.agents)
    except HiveError as error:
        say(f"Cannot start the scenario. {error.message}")
        return
    client.call(OPERATOR_SEND, OperatorSendParams(to=plot.asked, body=plot.request))
