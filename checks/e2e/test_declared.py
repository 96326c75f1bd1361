"""Agents declared in the configuration: created at once, changes only proposed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec.structs
import pytest
import pytest_asyncio

from checks.kits.host.hive import Hive, running_hive
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalState, ApproveParams, DenyParams
from pyglue.api.common import NoParams
from pyglue.config import DeclaredAgent

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

NIX = '{{ hyperhive = {{ model = "haiku"; description = "{}"; }}; }}\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hive]:
    """Run a hive with nobody: a manager would start again with each hived."""
    room = tmp_path_factory.mktemp("hive")
    hive = running_hive(room, agents=(), peers=True)
    async with asyncio.timeout(600), hive as found:
        yield found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the directory that bob is declared with."""
    return tmp_path_factory.mktemp("bob")


def write(source: Path, text: str) -> None:
    """Change what is declared, as a rebuild of the host would."""
    (source / "agent.nix").write_text(text)


async def restart(hive: Hive, source: Path) -> None:
    """Start hived again with bob in its configuration."""
    agents = (
        DeclaredAgent(name="bob", source=str(source)),
        DeclaredAgent(name="last", source=str(source.parent / "missing")),
    )
    config = msgspec.structs.replace(hive.local.config, agents=agents)
    await hive.reconfigure(config)
    # The one after bob is wrong, and is warned of when bob has been seen to.
    await hive.until(lambda: warned(hive, "Could not create last:"), "the warning")


async def warned(hive: Hive, text: str) -> str | None:
    """Return the warning that holds ``text`` if there is one."""
    status = await hive.operator.call(api.STATUS, NoParams())
    return next((line for line in status.warnings if text in line), None)


async def state(hive: Hive, number: int) -> ApprovalState:
    """Return the state of bob's approval of this number, newest 0."""
    return (await hive.approvals("bob"))[number].state


async def test_the_life_of_a_declared_agent(hive: Hive, source: Path) -> None:
    # First start: approved in the name of what started the hive.
    write(source, NIX.format("first"))
    (source / "notes").mkdir()
    (source / "notes" / "a.txt").write_text("a")
    await restart(hive, source)
    await hive.idle("bob")
    (first,) = await hive.approvals("bob")
    assert (first.state, first.proposed_by) == (ApprovalState.DEPLOYED, "hive run")
    audit = (hive.state / "audit.jsonl").read_text()
    assert '"hive run"' in audit

    # The same source again: nothing.
    await restart(hive, source)
    assert len(await hive.approvals("bob")) == 1

    # Another source: proposed, not approved, and only once.
    write(source, NIX.format("second"))
    (source / "notes" / "a.txt").unlink()
    await restart(hive, source)
    changed, _ = await hive.approvals("bob")
    assert (changed.state, changed.kind) == (ApprovalState.PENDING, "change")
    assert changed.proposed_by == "hive run"
    await restart(hive, source)
    assert len(await hive.approvals("bob")) == 2
    assert (await hive.agent("bob")).deployed_commit == first.commit

    # What the operator denies does not come back by itself.
    await hive.operator.call(api.DENY, DenyParams(id=changed.id, reason="no"))
    await restart(hive, source)
    assert await state(hive, 0) is ApprovalState.DENIED

    # What does not evaluate is said, and changes nothing.
    write(source, "{ hyperhive = {")
    await restart(hive, source)
    said = await warned(hive, "Could not propose the changed source of bob")
    assert said is not None and "agent.nix" in said
    assert len(await hive.approvals("bob")) == 2

    # Approved, main is just what is declared.
    write(source, NIX.format("third"))
    await restart(hive, source)
    newest = (await hive.approvals("bob"))[0]
    params = ApproveParams(
        id=newest.id, commit=newest.commit, manifest=newest.manifest_sha256
    )
    operation = (await hive.operator.call(api.APPROVE, params)).operation
    assert (await hive.operation(operation)).error is None
    assert (await hive.agent("bob")).deployed_commit == newest.commit
    hive.git("bob", "fetch", "-q", str(hive.local.config.layout.applied("bob")), "main")
    assert hive.git("bob", "ls-tree", "-r", "--name-only", "FETCH_HEAD") == "agent.nix"
