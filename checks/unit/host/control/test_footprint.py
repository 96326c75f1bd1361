"""The size of an agent's files: counted without following links, bounded, enforced."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.host.store import Kit, open_kit
from checks.kits.process.processes import open_below
from pyglue.config import Quotas
from pyglue.files import nofollow
from pyglue.host.control.footprint import Footprint, Footprints, measure
from pyglue.names import MANAGER, OPERATOR
from pyglue.paths import Layout
from pyglue.store import messages

MIB = 1024 * 1024
FREE = Quotas(state_mib=None, state_files=None)


def count(room: Path, quotas: Quotas = FREE) -> Footprint:
    return measure(room, (room / "state",), quotas)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def test_blocks_are_counted_and_not_lengths(room: Path) -> None:
    (room / "state/real").write_bytes(b"x" * MIB)
    with (room / "state/sparse").open("wb") as file:
        file.truncate(1 << 40)
    found = count(room)
    assert MIB <= found.bytes < 2 * MIB
    assert found.files == 2


def test_a_file_with_many_names_counts_once(room: Path) -> None:
    (room / "state/one").write_bytes(b"x" * MIB)
    for number in range(5):
        os.link(room / "state/one", room / f"state/{number}")
    found = count(room)
    assert found.bytes < 2 * MIB
    assert found.files == 6


def test_no_link_is_followed(room: Path) -> None:
    (room / "elsewhere").mkdir()
    (room / "elsewhere/large").write_bytes(b"x" * MIB)
    (room / "state/link").symlink_to(room / "elsewhere")
    (room / "state/loop").symlink_to(room / "state")
    assert count(room).bytes < MIB
    (room / "state").rename(room / "moved")
    (room / "state").symlink_to(room / "elsewhere")
    assert count(room).files == 0


def test_the_walk_stops_at_the_quota(room: Path) -> None:
    for number in range(500):
        (room / f"state/{number}").touch()
    found = count(room, Quotas(state_mib=None, state_files=10))
    assert found.files == 11
    assert "more than 10 files" in (
        found.problem("bob", Quotas(state_mib=None, state_files=10)) or ""
    )


def test_what_a_destroyed_agent_left_holds_nobody(room: Path) -> None:
    """Its directories, nested deeper than the walk goes, are in the manager's count."""
    at = room / "state"
    for _ in range(300):
        at /= "d"
        at.mkdir()
    quotas = Quotas()
    place = room / "state"
    assert count(room, quotas).problem("manager", quotas) is not None
    found = measure(room, (place,), quotas, left=frozenset({place}))
    assert found.problem("manager", quotas) is None


def test_what_is_nested_without_end_is_not_followed_without_end(room: Path) -> None:
    here = os.open(room / "state", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    found = count(room)
    assert open_below(room) == []
    assert found.unread == 1
    assert "cannot be measured" in (found.problem("bob", Quotas()) or "")
    assert found.problem("bob", FREE) is None
    nofollow.remove(room, room / "state")


# --- holding ------------------------------------------------------------------------


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in (MANAGER, "alice"):
        await opened.agent(name)
        (tmp_path / "agents" / name / "state").mkdir(parents=True)
        (tmp_path / "agents" / name / "config").mkdir()
        (tmp_path / "private" / name / "session").mkdir(parents=True)
    yield opened
    await opened.store.close()


def footprints(kit: Kit, room: Path) -> Footprints:
    return Footprints(
        registry=kit.registry,
        transitions=kit.transitions,
        broker=kit.broker,
        controls=kit.controls,
        layout=Layout(room, room),
        quotas=Quotas(state_mib=1),
    )


@pytest.mark.parametrize(
    ("who", "place"),
    [
        ("alice", "agents/alice/state"),
        ("alice", "private/alice/session"),
        (MANAGER, "agents/alice/config"),
        (MANAGER, "agents/draft/state"),
    ],
)
async def test_who_wrote_too_much_is_held_until_there_is_less(
    kit: Kit, tmp_path: Path, who: str, place: str
) -> None:
    found, agent = footprints(kit, tmp_path), kit.registry.get(who)
    await found.look(agent)
    assert agent.on_hold is None
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    large = tmp_path / place / "large"
    large.write_bytes(b"x" * 2 * MIB)
    for _ in range(2):
        await found.look(agent)
    why = kit.registry.paused(agent)
    assert why is not None
    assert f"The files of {who} use more than 1 MiB" in why
    other = kit.registry.get("alice" if who == MANAGER else MANAGER)
    await found.look(other)
    assert kit.registry.paused(other) is None
    large.unlink()
    await found.look(agent)
    assert kit.registry.paused(agent) is None
    told = await kit.store.read(lambda reader: messages.peek(reader, OPERATOR, 9))
    assert [message.body for message in told] == [
        why,
        f"The files of {who} are within its quotas again.",
    ]
