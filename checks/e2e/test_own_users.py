"""A hive started by root on a shared machine: each agent is a separate user.

``FRIEND`` is an ordinary user of the machine, as an agent's accomplice would be. What
it is tried on is everything that a running hive has in its directories.
"""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from checks.kits.host.hive import Hive, let_pass, running_hive
from checks.kits.patience import PATIENCE_S
from pyglue.cli.local.launcher import PARTS
from pyglue.config import HiveConfig, Ids
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.modes import UNMAPPED_UID
from pyglue.host.backends.base import AgentSpec, ContainerEventKind
from pyglue.host.backends.local import LocalBackend
from pyglue.process import RunAs, run
from pyglue.sandbox import own_places, reach

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("root", "nix", "git", "bwrap"),
]
FRIEND: Final = RunAs(62005, 62005)
SECRET: Final = "s3cret-of-alice"
NIX: Final = f"""{{
  hyperhive.description = "has a secret";
  hyperhive.env.TOKEN = "{SECRET}";
}}
"""

TRY: Final = """
import json, os, socket, stat
found = []
secret, paths = json.load(open(0))
for path in paths:
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except OSError:
        continue
    if stat.S_ISSOCK(mode):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            found.append("connected to " + path)
        except OSError:
            pass
    elif any(os.access(path, kind) for kind in (os.R_OK, os.W_OK, os.X_OK)):
        found.append(path)
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("cmdline", "environ"):
        try:
            data = open(f"/proc/{pid}/{name}", "rb").read()
        except OSError:
            continue
        if secret.encode() in data:
            found.append(f"{pid} {name}")
print(json.dumps(found))
"""


async def tried(paths: list[str], as_: RunAs) -> list[str]:
    """Return what a user can reach of these, and processes that show the secret."""
    done = await run(
        [sys.executable, "-I", "-c", TRY],
        env={"PATH": os.environ["PATH"]},
        timeout=PATIENCE_S,
        stdin=json.dumps([SECRET, paths]).encode(),
        run_as=as_,
        wrapper=reach(dict.fromkeys(own_places()), as_),
    )
    assert done.code == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hive]:
    room = tmp_path_factory.mktemp("hive")
    async with running_hive(
        room,
        agents=("manager", "alice", "bob"),
        real=("alice",),
        beside=PARTS,
        forked=False,
    ) as running:
        operation = await running.approve(await running.propose("alice", NIX))
        assert operation.error is None
        yield running


def below(*tops: Path) -> list[str]:
    return [
        str(path) for top in tops for path in (top, *top.rglob("*")) if path.exists()
    ]


async def test_others_reach_nothing_of_a_hive(hive: Hive) -> None:
    layout = hive.local.config.layout
    state = layout.agent_state("alice")
    program = state / "py"
    program.write_bytes(Path("/usr/bin/true").read_bytes())
    owner = state.stat().st_uid
    os.chown(program, owner, owner)
    program.chmod(0o6755)
    state.chmod(0o777)
    paths = below(layout.state, layout.runtime.parent)
    assert len(paths) > 100
    assert str(layout.operator_socket) in paths
    assert str(layout.run("alice") / "hive.sock") in paths
    assert await tried(paths, FRIEND) == []


async def test_an_agents_user_reaches_only_what_is_its_own(hive: Hive) -> None:
    config = hive.local.config
    layout, ids = config.layout, config.ids
    assert ids is not None and ids.group is not None
    uids = {n: layout.agent_state(n).stat().st_uid for n in ("manager", "alice", "bob")}
    assert len(set(uids.values())) == 3
    assert all(ids.is_agent(uid) for uid in uids.values())
    alice = RunAs(uids["alice"], uids["alice"], (ids.group,))
    paths = below(layout.state, layout.runtime.parent)
    found = await tried(paths, alice)
    own = (
        *(str(layout.agent_state("alice")), str(layout.session("alice"))),
        *(str(layout.run("alice")), str(layout.private("alice"))),
    )
    passages = {str(place) for place in (layout.state, layout.state / "private")}
    passages |= {str(layout.agents), str(layout.runtime), str(layout.runtime.parent)}
    passages |= {str(layout.runtime / "agents"), str(layout.state / "run")}
    passages |= {str(path) for path in layout.agents.iterdir()}
    passages |= {str(layout.runtime.parent / "config.json")}
    passages |= {str(layout.shared)}  # which all agents read
    foreign = [
        path
        for path in found
        if not path.removeprefix("connected to ").startswith(own)
        and path not in passages
        and not path.endswith(" environ")  # its own
    ]
    assert foreign == []


# --- the manager, and what came before ------------------------------------------------

IDS: Final = Ids(agent=1_800_000_016, web=1, relay=2, agents=8, group=1_800_000_000)


def made(room: Path, ids: Ids = IDS) -> tuple[HiveConfig, Directories]:
    """Return a hive's directories with three agents, as hived makes them."""
    let_pass(room)
    config = HiveConfig(
        state_dir=str(room / "state"), runtime_dir=str(room / "run"), ids=ids
    )
    directories = Directories(config, agents_pass=True)
    directories.prepare()
    for name in ("manager", "alice", "bob"):
        if not config.layout.applied(name).exists():
            repo = AppliedRepo.create(config.layout.applied(name))
            seed_main(repo, {"agent.nix": b"{ }"}, message="First")
        directories.make(name)
    return config, directories


WRITES: Final = """
import json, os, pathlib
state = pathlib.Path("/agents/alice/state")
(state / "from manager").write_text("x")
pathlib.Path("/agents/alice/config/new").write_text("x")
print(json.dumps({
    "agents": sorted(os.listdir("/agents")),
    "applied": sorted(os.listdir("/applied")),
    "private": (state / "private").read_text(),
    "owner": (state / "private").stat().st_uid,
}), flush=True)
"""


async def test_the_manager_reads_and_writes_what_is_anothers(tmp_path: Path) -> None:
    config, _directories = made(tmp_path)
    layout = config.layout
    state = layout.agent_state("alice")
    uid = state.stat().st_uid
    (state / "private").write_text("of alice")
    (state / "private").chmod(0o600)
    os.chown(state / "private", uid, uid)
    backend = LocalBackend(config, program=("-c", WRITES))
    ended: Any = asyncio.get_running_loop().create_future()

    def take(event: Any) -> None:
        if event.kind is ContainerEventKind.CRASHED:
            ended.set_result(event)

    backend.watch(take)
    spec = AgentSpec(
        name="manager",
        manager=True,
        record=b"{}",
        network=False,
        memory_max=None,
        cpu_quota=None,
    )
    await backend.apply(spec)
    await backend.start(spec)
    event = await ended
    assert backend._admitting.problem is None
    assert json.loads(event.log_tail[-1]) == {
        "agents": ["alice", "bob", "manager"],
        "applied": ["alice.git", "bob.git", "manager.git"],
        "private": "of alice",
        "owner": 1000,
    }
    wrote = (state / "from manager").stat()
    assert (wrote.st_uid, wrote.st_gid) == (uid, uid)
    assert (layout.config("alice") / "new").stat().st_uid == IDS.agent


async def test_a_hive_with_one_user_for_all_is_taken_over(tmp_path: Path) -> None:
    old = Ids(agent=62001, web=62002, relay=62003)
    config, _ = made(tmp_path, old)
    layout = config.layout
    state = layout.agent_state("alice")
    for name in ("old", "suid"):
        (state / name).touch()
        os.chown(state / name, 62001, 62001)
    (state / "suid").chmod(0o6755)
    (state / "roots").touch()
    assert state.stat().st_uid == 62001

    config, directories = made(tmp_path)
    uids = {n: layout.agent_state(n).stat().st_uid for n in ("manager", "alice", "bob")}
    assert uids["manager"] == IDS.agent
    assert len(set(uids.values())) == 3
    assert all(IDS.is_agent(uid) for uid in uids.values())
    assert (state / "old").stat().st_uid == uids["alice"]
    assert stat.S_IMODE((state / "suid").stat().st_mode) == 0o755
    assert (state / "roots").stat().st_uid == 0
    assert layout.session("alice").stat().st_uid == uids["alice"]
    owners = {p.lstat().st_uid for p in layout.config("alice").rglob("*")}
    assert owners == {IDS.agent}
    assert layout.agents.stat().st_uid == UNMAPPED_UID
    assert directories.modes.wrong(("manager", "alice", "bob")) == {}

    # It stays so over restarts, and in a directory that was moved.
    made(tmp_path)
    again = {
        n: layout.agent_state(n).stat().st_uid for n in ("manager", "alice", "bob")
    }
    assert again == uids


async def test_what_is_open_to_others_is_found_and_closed(tmp_path: Path) -> None:
    config, directories = made(tmp_path)
    layout, names = config.layout, ("manager", "alice", "bob")
    places = (layout.state, layout.agents, layout.applied_root, layout.run("alice"))
    for place in places:
        place.chmod(0o755)
    os.chown(layout.private("alice"), 0, 0)
    assert set(directories.modes.wrong(names)) == {*places, layout.private("alice")}
    directories.modes.repair(names)
    assert directories.modes.wrong(names) == {}
