"""[turn_oneshot]: a turn through the harness, from its message to its reported end.

The real CLI over the scripted model: it starts, calls one hive tool, answers. The
reference is the same with nothing around it: ``ClaudeSDKClient`` in a few lines, with
the very same options, and one tool in process. Both continue a session of their own.
"""

import statistics
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    McpSdkServerConfig,
    ResultMessage,
    create_sdk_mcp_server,
    tool,
)

from checks.bench.measure import Figure, progress, room, since
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness, model_socket, scripted_model
from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude.launch import Launch
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.gate.gate import Gate
from pyglue.harness.load import Places, load
from pyglue.mcp.server import McpServer
from pyglue.tools import agent_tools

NAME: Final = "turn_oneshot"
LIMIT: Final = 1.15
_SAMPLES: Final = 30
_WARM: Final = 2
_SEND: Final = {"to": "alice", "body": "The parser's test passes again."}
PROMPT: Final = script(
    {"tool": "mcp__hive__send", "input": _SEND}, {"text": "I told alice."}
)


async def bench() -> Figure:
    """Run turns one after another, each beside one of the minimal script's."""
    through: list[float] = []
    minimal: list[float] = []
    with room() as directory, scripted_model(directory / "requests.jsonl") as port:
        home = Home(directory / "bob")
        home.load()
        script_of_few_lines = Minimal.make(Home(directory / "bare"), port)
        async with (
            model_socket(home.run / "model.sock", port),
            FakeHive(home.run / "hive.sock") as hive,
            harness(home),
        ):
            for number in range(_SAMPLES + _WARM):
                if number % 2:  # whoever comes second finds warmer caches
                    minimal.append(await script_of_few_lines.turn())
                through.append(await timed_turn(hive))
                if not number % 2:
                    minimal.append(await script_of_few_lines.turn())
                if number % 5 == 0:
                    progress(f"  turn {number} of {_SAMPLES + _WARM}")
    del through[:_WARM], minimal[:_WARM]
    bare = statistics.median(minimal)
    return Figure(NAME, tuple(through), bare, LIMIT, {"ClaudeSDKClient": bare})


async def timed_turn(hive: FakeHive) -> float:
    """Send mail; return the milliseconds until the harness reported the turn's end."""
    done, sent = len(hive.ends), len(hive.sent)
    began = time.perf_counter()
    await hive.mail(PROMPT)
    await hive.until(lambda: len(hive.ends) > done)
    took = since(began)
    assert hive.ends[-1].outcome is TurnOutcome.OK
    assert len(hive.sent) == sent + 1
    return took


class NoHive:
    """A caller that nothing calls."""

    async def call(self, *_: object, **__: object) -> Any:
        raise AssertionError("the tool is the script's own")


def as_sdk(launch: Launch, hive: McpSdkServerConfig) -> ClaudeAgentOptions:
    """Return what starts the same CLI, with ``hive`` as its tools, by the SDK."""
    return ClaudeAgentOptions(
        model=launch.model,
        tools=list(launch.tools),
        allowed_tools=list(launch.allowed_tools),
        system_prompt={"type": "file", "path": str(launch.system_prompt)},
        setting_sources=[],
        strict_mcp_config=True,
        permission_mode="dontAsk",
        mcp_servers={"hive": hive},
        extra_args={"system-prompt-snapshot": "off"},
        env=dict(launch.env),
        cwd=launch.cwd,
        cli_path=launch.cli,
        verbatim_prompts=launch.verbatim,
        max_turns=launch.max_steps,
        resume=launch.session if launch.resume else None,
        session_id=None if launch.resume else launch.session,
    )


@dataclass
class Minimal:
    """A script that runs turns of one session."""

    options: CliOptions
    hive: McpSdkServerConfig
    session: str
    calls: list[dict[str, Any]]
    turns: int = 0

    @classmethod
    def make(cls, home: Home, port: int) -> "Minimal":
        calls: list[dict[str, Any]] = []

        @tool("send", "Send a message.", {"to": str, "body": str})
        async def send(arguments: dict[str, Any]) -> dict[str, Any]:
            calls.append(arguments)
            return {"content": [{"type": "text", "text": "sent"}]}

        loaded = load(home.load())
        options = CliOptions(
            loaded,
            Places(
                run=home.run, state=home.state, session=home.session, agents=home.agents
            ),
            base_url=f"http://127.0.0.1:{port}",
            key="any",
            hive=McpServer(tools=agent_tools(), caller=NoHive()),
            gate=Gate(tools=loaded.manifest.allowed_tools, bash_allow=()),
        )
        hive = create_sdk_mcp_server("hive", tools=[send])
        return cls(options, hive, str(uuid.uuid4()), calls)

    async def turn(self) -> float:
        """Run a turn; return its milliseconds."""
        called = len(self.calls)
        result: ResultMessage | None = None
        began = time.perf_counter()
        launch = self.options.turn(
            model="haiku", session=self.session, resume=self.turns > 0
        )
        async with ClaudeSDKClient(as_sdk(launch, self.hive)) as client:
            await client.query(PROMPT)
            async for message in client.receive_response():
                if isinstance(message, ResultMessage):
                    result = message
        took = since(began)
        self.turns += 1
        assert result is not None and not result.is_error
        assert len(self.calls) == called + 1
        return took
