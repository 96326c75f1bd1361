"""How far hived trusts what it receives: the answers common to several fields.

An agent's container may send anything on its sockets, so every struct that comes from
agents or from the relay has a line in its ``TRUST`` for each of its fields: who trusts
it, and for what. ``tools/generate_trust.py`` generates ``docs/trust.md`` from them, and
fails for a field without a line, so that adding one requires this choice. ``no``
means that the field decides nothing; where it is shown, it is shown as the agent's
words. These are the answers that several fields share.
"""

from typing import Final

NO: Final = "no: shown or logged as the agent's words"
OWN: Final = "only about the caller's own messages; other ids are refused or ignored"
TEXT: Final = "no: stored and delivered as the caller's words, under its socket's name"
NAME: Final = "checked against the existing agents"
QUEUE: Final = "only affects the order of the caller's own actions"
METRIC: Final = (
    "no: shown as the harness's number, and only if the relay counted nothing and the "
    "agent has a network (so it may use its own login)"
)
WARM: Final = (
    "only moves the memory for CLIs between turns from one agent to another; what the "
    "container may use is limited outside it"
)
UPLOAD: Final = "must be an upload of this connection"
EGRESS: Final = (
    "yes: shown and counted as hive-egress saw it, within the bounds of the type; "
    "agents cannot reach this socket"
)
RELAY: Final = (
    "yes: the relay is trusted with money, within the bounds of the type; agents "
    "cannot reach this socket"
)
