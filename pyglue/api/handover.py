"""The types common to all daemons that serve agents' sockets.

The descriptor of an agent's listening socket comes in one datagram on a SEQPACKET
socket: a JSON ``Listener`` with exactly one descriptor. ``relay-fds.sock`` has the
agents' ``model.sock``, ``egress-fds.sock`` their ``egress.sock``.
"""

from typing import Final, TypeVar

from pyglue.api.common import AgentName, Note, Params, ShortText


class AgentPolicy(Params, frozen=True, kw_only=True):
    """What an agent may do through a daemon; each daemon extends it."""

    agent: AgentName
    halted: ShortText | None = None
    """Why it may do nothing for now: running connections are cut, new ones refused."""

    @property
    def cuts(self) -> bool:
        """Whether running connections must be cut."""
        return self.halted is not None


P = TypeVar("P", bound=AgentPolicy)


class Listener(Params, frozen=True):
    """The JSON sent with a descriptor: the socket's agent."""

    agent: AgentName


class DetachParams(Params, frozen=True):
    """To a daemon: cut the agent's connections and stop listening for it."""

    agent: AgentName


DETACH: Final = Note("detach", DetachParams)
