"""The manifest that tests start from."""

from typing import Any

MANIFEST: dict[str, Any] = {
    "allowedRecipients": None,
    "allowedTools": [],
    "autoCompact": None,
    "bash": {"allow": []},
    "description": "",
    "env": {},
    "limits": {
        "costPerDayUsd": None,
        "cpuQuota": None,
        "memoryMax": None,
        "tokensPerDay": None,
        "turnsPerHour": None,
    },
    "mcpServers": {},
    "model": "haiku",
    "network": False,
    "notes": {"maxBytes": 16384},
    "prompt": "",
    "serverTools": [],
}
"""A whole manifest as the evaluator returns one, with nothing granted."""
