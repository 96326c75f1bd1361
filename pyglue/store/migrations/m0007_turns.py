"""Indexes that find running turns, and the last hour's, among a year of turns."""

from typing import Final

STATEMENTS: Final = (
    "CREATE INDEX turn_open ON turn (agent) WHERE ended_at IS NULL",
    "CREATE INDEX turn_by_start ON turn (agent, started_at)",
)
