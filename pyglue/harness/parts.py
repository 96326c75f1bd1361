"""The parts of a harness, made from the pinned record and its directories."""

import contextlib
from collections.abc import AsyncIterator

from pyglue.api.common import HarnessReport
from pyglue.api.turn_events import Denied
from pyglue.harness.claude.events import clip
from pyglue.harness.claude.kept_session import SessionStore
from pyglue.harness.claude.notes import Notes
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.claude.preflight import Checked
from pyglue.harness.claude.session import Session
from pyglue.harness.claude.warm import Warm
from pyglue.harness.claude.writing import Writing
from pyglue.harness.exposed import Exposed
from pyglue.harness.gate.gate import Gate
from pyglue.harness.joined import Joined
from pyglue.harness.link.forward import Forwarder
from pyglue.harness.link.link import Link
from pyglue.harness.link.trust import Trust
from pyglue.harness.link.tunnel import Tunnel
from pyglue.harness.load import Loaded, Places
from pyglue.harness.space import Space
from pyglue.harness.steering import Steering
from pyglue.mcp.server import McpServer
from pyglue.tools import agent_tools, manager_tools


def report_of(loaded: Loaded, checked: Checked) -> HarnessReport:
    """Return what hived is told in the hello."""
    return HarnessReport(
        manifest_sha256=loaded.sha256,
        system=loaded.system,
        cli_version=checked.cli_version,
        servers=checked.servers,
        problem=checked.problem,
    )


def notes_of(places: Places, loaded: Loaded, options: CliOptions) -> Notes:
    """Return the keeper of ``/state/notes.md``."""
    return Notes(
        options=options,
        state=places.state,
        max_bytes=loaded.manifest.notes.max_bytes,
        tools=loaded.manifest.allowed_tools,
    )


def session_of(
    places: Places,
    loaded: Loaded,
    options: CliOptions,
    link: Link,
    joined: Joined,
    steering: Steering,
) -> Session:
    """Return the agent's session."""
    store = SessionStore(directory=places.session, emit=link.emit)
    return Session(
        options=options,
        store=store,
        warm=Warm(
            keep_s=loaded.manifest.keep_warm,
            transcript=store.transcript,
            changed=link.warm,
        ),
        notes=places.state / "notes.md",
        joined=joined,
        news=steering,
        space=Space(places.state, places.session),
        compact_at=loaded.manifest.auto_compact,
        say=link.say,
    )


@contextlib.asynccontextmanager
async def proxied(places: Places, loaded: Loaded) -> AsyncIterator[dict[str, str]]:
    """Yield the variables of a proxy, if the agent may reach hosts through one."""
    if not loaded.manifest.hosts or loaded.manifest.network:
        yield {}
        return
    trust = None
    if any(secret.inject for secret in loaded.manifest.secrets.values()):
        trust = Trust(places.authority, places.session / "hive-ca-bundle.pem")
        places.session.mkdir(parents=True, exist_ok=True)
        trust.refresh()
    async with Tunnel(places.egress_socket, trust=trust) as tunnel:
        yield tunnel.environment


def cli_options(
    places: Places,
    loaded: Loaded,
    forwarder: Forwarder,
    link: Link,
    proxy: dict[str, str],
    exposed: Exposed,
    writing: Writing,
) -> CliOptions:
    """Return how the CLI is started: its tools, gate, hooks and environment."""
    manifest = loaded.manifest
    tools = manager_tools(places.agents) if places.is_manager else agent_tools()
    gate = Gate(
        tools=manifest.allowed_tools,
        bash_allow=manifest.bash.allow,
        bash_write=manifest.bash.write,
        refused=lambda tool, reason, pattern: link.emit(
            Denied(tool=clip(tool, 200), reason=clip(reason), pattern=pattern)
        ),
    )
    hive = McpServer(tools=tools, caller=link)
    return CliOptions(
        loaded,
        places,
        base_url=forwarder.url,
        key=forwarder.key,
        hive=hive,
        gate=gate,
        proxy=proxy,
        exposed=exposed,
        partial=writing.take,
    )
