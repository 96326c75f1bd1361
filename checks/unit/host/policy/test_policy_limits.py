"""The operator's limits, which no approval exceeds: what they refuse and allow."""

from typing import Any

import pytest

from checks.kits.host.policy import MODELS, manifest
from pyglue.config import OperatorLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.policy.operator_limits import (
    allowed_models,
    blocked,
    check_operator_limits,
)
from pyglue.manifest.record import PinnedRecord


def check(limits: OperatorLimits, **paths: object) -> None:
    typed = PinnedRecord(manifest(**paths), None).typed
    check_operator_limits(typed, limits, resolve=MODELS.get)


SHELL = {"command": "bash", "args": [], "env": {}, "allowedTools": []}


def server(*names: str) -> dict[str, Any]:
    """Return a server that a path names, with these variables."""
    return {**SHELL, "command": "/bin/bash", "env": dict.fromkeys(names, "x")}


@pytest.mark.parametrize(
    ("limits", "paths", "said"),
    [
        ({"models": ("small",)}, {"model": "big"}, "The model big is not allowed; "),
        ({"models": ()}, {"model": "small"}, "is not allowed; allowed: none."),
        ({"models": ("small",)}, {"model": "mystery"}, "The model mystery"),
        (
            *({"cost_per_day_usd": 2.0}, {"limits__costPerDayUsd": 2.5}),
            "A daily cost of $2.5 exceeds the limit of $2.",
        ),
        (
            {"tokens_per_day": 5},
            {"limits__tokensPerDay": 6},
            "6 tokens a day exceed",
        ),
        (
            {"turns_per_hour": 5},
            {"limits__turnsPerHour": 6},
            "6 turns an hour exceed",
        ),
        (
            *({"memory_max": "1G"}, {"limits__memoryMax": "1025M"}),
            "Memory of 1025M exceeds",
        ),
        ({"cpu_quota": 100}, {"limits__cpuQuota": 101}, "A CPU quota of 101 % exceeds"),
        (
            *({"mcp_commands": ("/bin/s",)}, {"mcpServers": {"x": SHELL}}),
            "The MCP server x runs bash, which is not allowed; allowed: /bin/s.",
        ),
        (
            *({"mcp_commands": ("bash",)}, {"mcpServers": {"x": SHELL}}),
            "runs bash by name, so the agent's PATH decides which program runs",
        ),
        (
            *({"mcp_commands": ()}, {"mcpServers": {"x": SHELL}}),
            "is not allowed; allowed: none.",
        ),
        (
            *({"any_command": False}, {"bash__allow": None}),
            "list patterns in hyperhive.bash.allow instead of null",
        ),
        (
            *({"workspaces": "none"}, {"workspaces": {"site": {"access": "read"}}}),
            "The workspace site is not allowed; no agent may have one.",
        ),
        (
            *({"workspaces": "read"}, {"workspaces": {"site": {"access": "write"}}}),
            "The workspace site may only be read, not written.",
        ),
        ({"shared": "read"}, {"shared": "write"}, "No agent may write in /shared;"),
        (
            *({}, {"schedule": {"x": {"at": "*:0/4", "message": "m"}}}),
            "The schedule x (“*:0/4”) has times 240 s apart; the least is 5 minutes.",
        ),
        (
            {"schedule_minutes": 120},
            {"schedule": {"x": {"at": "hourly", "message": "m"}}},
            "the least is 120 minutes.",
        ),
        (
            {"secrets": {}},
            {"secrets": {"X": {"inject": [{"host": "a.org"}]}}},
            "Requests to a.org:443 may not carry X; hosts that may be sent it: none.",
        ),
        (
            {"secrets": {"X": ("a.org", "*.b.org"), "Y": ("c.org",)}},
            {"secrets": {"X": {"inject": [{"host": "a.org"}, {"host": "c.org"}]}}},
            "Requests to c.org:443 may not carry X; hosts that may be sent it: a.org",
        ),
        (
            {"secrets": {"X": ("a.org",)}},
            {"secrets": {"X": {"expose": "env"}}},
            "X may not be exposed to an agent: the operator's limits must let it go",
        ),
        (
            {"webhooks": False},
            {"webhooks": {"x": {"kind": "github", "secret": "X", "events": []}}},
            "Webhooks are disabled by the operator's limits.",
        ),
        ({"network": False}, {"network": True}, "Network access is disabled by"),
        ({"network": False}, {"serverTools": ["web_fetch"]}, "access to the internet"),
        (
            *({"network": False}, {"hosts": ["a.org"]}),
            "The agent may not reach a.org; allowed: none.",
        ),
        (
            *({"network": ("a.org", "*.b.org")}, {"hosts": ["a.org", "a.org:22"]}),
            "The agent may not reach a.org:22; allowed: a.org and “*.b.org”.",
        ),
        ({"network": ("*.b.org",)}, {"hosts": ["b.org"]}, "may not reach b.org"),
        ({"network": ("a.org",)}, {"hosts": ["*.a.org"]}, "may not reach “*.a.org”"),
        ({"network": ("a.org",)}, {"network": True}, "list hosts in hyperhive.network"),
        ({"network": ("a.org",)}, {"serverTools": ["web_fetch"]}, "to the internet"),
    ],
)
def test_operator_limits_refuse(
    limits: dict[str, Any], paths: dict[str, object], said: str
) -> None:
    with pytest.raises(HiveError) as caught:
        check(OperatorLimits(**limits), **paths)
    assert caught.value.code == ErrorCode.OPERATOR_LIMIT
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("limits", "paths"),
    [
        ({}, {"model": "mystery", "network": True, "serverTools": ["web_search"]}),
        ({}, {"bash__allow": None}),
        ({"any_command": False}, {"bash__allow": ["git *"], "bash__write": True}),
        ({"models": ("small-1",)}, {"model": "small"}),
        ({"models": ("mystery",)}, {"model": "mystery"}),
        ({"cost_per_day_usd": 2.0}, {"limits__costPerDayUsd": 2}),
        ({"cost_per_day_usd": 2.0}, {}),
        ({"memory_max": "1G"}, {"limits__memoryMax": "1024M"}),
        ({"memory_max": "1G", "cpu_quota": 100}, {}),
        ({"cpu_quota": 100}, {"limits__cpuQuota": 100}),
        ({"mcp_commands": ("/bin/bash",)}, {"mcpServers": {"x": server()}}),
        ({"mcp_commands": ("/bin/bash",)}, {"mcpServers": {"x": server("LOG_LEVEL")}}),
        (
            {"mcp_commands": ("/bin/bash",)},
            {"mcpServers": {"x": server("GITHUB_TOKEN", "DATABASE_URL", "LANG", "TZ")}},
        ),
        ({"mcp_commands": None}, {"mcpServers": {"x": server("PATH")}}),
        ({"mcp_commands": ()}, {"env": {"PATH": "/state"}}),
        ({"mcp_commands": ()}, {}),
        ({"network": False}, {}),
        ({"network": True}, {"hosts": ["a.org"]}),
        (
            {"secrets": {"X": ("a.org",)}},
            {"secrets": {"X": {"inject": [{"host": "a.org"}]}, "Y": {"inject": []}}},
        ),
        (
            {"secrets": {"X": ("*",), "Y": ("*",)}},
            {
                "secrets": {
                    "X": {"expose": "file"},
                    "Y": {"inject": [{"host": "a.org"}]},
                }
            },
        ),
        ({}, {"secrets": {"X": {"expose": "env"}}}),
        ({"network": ("a.org", "*.b.org")}, {"hosts": ["a.org:443", "*.c.b.org"]}),
        ({"network": ()}, {"hosts": []}),
        ({"workspaces": "read"}, {"workspaces": {"site": {"access": "read"}}}),
        ({"workspaces": "none", "shared": "read"}, {}),
        ({}, {"workspaces": {"site": {"access": "write"}}, "shared": "write"}),
    ],
)
def test_operator_limits_let_through(
    limits: dict[str, Any], paths: dict[str, object]
) -> None:
    check(OperatorLimits(**limits), **paths)


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "NODE_OPTIONS"),
        *("BASH_ENV", "ENV", "GIT_SSH_COMMAND", "PERL5OPT", "RUBYOPT", "HOME"),
        *("JAVA_TOOL_OPTIONS", "OPENSSL_CONF", "MCP_SERVER", "CLAUDE_CONFIG_DIR"),
        *("KUBECONFIG", "AWS_CONFIG_FILE", "DOCKER_CONFIG", "TAR_OPTIONS", "SVN_SSH"),
        *("RIPGREP_CONFIG_PATH", "FZF_DEFAULT_COMMAND", "MANPAGER", "CVS_RSH", "LESS"),
        *("PUPPETEER_EXECUTABLE_PATH", "PGSERVICEFILE", "GNUPGHOME", "GRADLE_OPTS"),
        *("ANSIBLE_CONFIG", "VIMINIT", "GCC_EXEC_PREFIX", "TF_CLI_CONFIG_FILE"),
    ],
)
@pytest.mark.parametrize("whose", ["server", "agent"])
def test_an_allowed_command_is_not_made_another_program(name: str, whose: str) -> None:
    limits = OperatorLimits(mcp_commands=("/bin/bash",))
    paths: dict[str, Any] = {"mcpServers": {"x": server()}, "env": {name: "/state"}}
    if whose == "server":
        paths = {"mcpServers": {"x": server("LOG_LEVEL", name)}}
    with pytest.raises(HiveError, match=f"sets {name}, which can make") as caught:
        check(limits, **paths)
    assert caught.value.code == ErrorCode.OPERATOR_LIMIT
    reason = blocked(PinnedRecord(manifest(**paths, model="haiku"), None).typed, limits)
    assert reason is not None and name in reason


def test_amounts_are_held_to_and_block_nothing() -> None:
    paths = {"limits__memoryMax": "9G", "limits__costPerDayUsd": 9, "model": "haiku"}
    limits = OperatorLimits(memory_max="1G", cost_per_day_usd=1, models=("haiku",))
    assert blocked(PinnedRecord(manifest(**paths), None).typed, limits) is None


def test_the_relay_is_told_of_no_model_beyond_the_limit() -> None:
    names = ("opus", "sonnet", "no such model")
    some = allowed_models(names, OperatorLimits(models=("sonnet",)))
    assert len(some) == 2 and "sonnet" in some[0] and "haiku" in some[1]
    assert len(allowed_models(names, OperatorLimits())) == 3
    assert len(allowed_models(names, OperatorLimits(models=()))) == 1
