"""The operator's limits, which no approval passes: what they refuse and let through."""

from typing import Any

import pytest

from checks.policy_kit import MODELS, manifest
from pyglue.config import OperatorLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.policy import check_operator_limits
from pyglue.manifest import PinnedRecord


def check(limits: OperatorLimits, **paths: object) -> None:
    typed = PinnedRecord(manifest(**paths), None).typed
    check_operator_limits(typed, limits, resolve=MODELS.get)


SHELL = {"command": "bash", "args": [], "env": {}, "allowedTools": []}


@pytest.mark.parametrize(
    ("limits", "paths", "said"),
    [
        ({"models": ("small",)}, {"model": "big"}, "The model big is not one of"),
        ({"models": ()}, {"model": "small"}, "is not one of: none."),
        ({"models": ("small",)}, {"model": "mystery"}, "The model mystery"),
        (
            *({"cost_per_day_usd": 2.0}, {"limits__costPerDayUsd": 2.5}),
            "A daily cost of $2.5 is more than $2.",
        ),
        (
            {"tokens_per_day": 5},
            {"limits__tokensPerDay": 6},
            "6 tokens a day are",
        ),
        (
            {"turns_per_hour": 5},
            {"limits__turnsPerHour": 6},
            "6 turns an hour",
        ),
        ({"memory_max": "1G"}, {"limits__memoryMax": "1025M"}, "Memory of 1025M is"),
        ({"cpu_quota": 100}, {"limits__cpuQuota": 101}, "101 % of a processor are"),
        (
            *({"mcp_commands": ("sqlite",)}, {"mcpServers": {"x": SHELL}}),
            "The MCP server x runs bash, which is not one of: sqlite.",
        ),
        ({"mcp_commands": ()}, {"mcpServers": {"x": SHELL}}, "is not one of: none."),
        ({"network": False}, {"network": True}, "No agent may have a network."),
        ({"network": False}, {"serverTools": ["web_fetch"]}, "reach the internet"),
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
        ({"models": ("small-1",)}, {"model": "small"}),
        ({"models": ("mystery",)}, {"model": "mystery"}),
        ({"cost_per_day_usd": 2.0}, {"limits__costPerDayUsd": 2}),
        ({"cost_per_day_usd": 2.0}, {}),
        ({"memory_max": "1G"}, {"limits__memoryMax": "1024M"}),
        ({"memory_max": "1G", "cpu_quota": 100}, {}),
        ({"cpu_quota": 100}, {"limits__cpuQuota": 100}),
        ({"mcp_commands": ("bash",)}, {"mcpServers": {"x": SHELL}}),
        ({"mcp_commands": ()}, {}),
        ({"network": False}, {}),
    ],
)
def test_operator_limits_let_through(
    limits: dict[str, Any], paths: dict[str, object]
) -> None:
    check(OperatorLimits(**limits), **paths)
