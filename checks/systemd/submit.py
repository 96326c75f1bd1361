"""``python -m checks.systemd.submit AGENT COMMIT``, run on a test host.

Submits a commit over the manager's socket with the manager's own tool, where git can
be in the repository; prints the proposal, or the error, as JSON.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.manager import ProposalResult
from pyglue.config import load
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import connect
from pyglue.tools.submit import ApplyCommit, submit

CONFIG = Path("/etc/hyperhive/config.json")


class Answer(msgspec.Struct, frozen=True):
    """What came of it."""

    proposal: ProposalResult | None = None
    code: str | None = None
    message: str = ""

    def result(self) -> ProposalResult:
        """Return the proposal.

        Raises:
            HiveError: as the tool did.
        """
        if self.proposal is None:
            raise HiveError(ErrorCode(self.code or ""), self.message)
        return self.proposal


async def _submit(
    agent: str, commit: str, description: str, *spawn: str
) -> ProposalResult:
    layout = load(CONFIG).layout
    hello = HelloParams(protocol=PROTOCOL, client="test")
    manager = await connect(layout.run("manager") / "hive.sock", hello=hello)
    try:
        request = ApplyCommit(agent=agent, commit=commit, description=description)
        return await submit(manager, layout.agents, request, spawn=bool(spawn))
    finally:
        manager.close()


def main() -> None:
    """Submit what the arguments name."""
    try:
        answer = Answer(proposal=asyncio.run(_submit(*sys.argv[1:])))
    except HiveError as error:
        answer = Answer(code=error.code.value, message=error.message)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
