"""Kill -9 hived at every step of every operation of an agent's life.

Which steps there are is read from the handlers. Each story is one operation; hived is
killed after the work of its first step, started, killed after that of the second, and
so on, so that every step is repeated on top of itself; the last one lives on into the
next story. Then the operation must have
ended as it would have, and nothing else may be there: no process, socket, directory or
tag. One hive for all of it.
"""

import asyncio
import contextlib
import os
import select
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from checks.e2e.kit.deaths import MENDING, Deaths, dying
from checks.e2e.kit.life import inside, names, propose_all
from checks.e2e.kit.stories import STORIES, TIMEOUTS
from checks.kits.host.hive import running_hive
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.operations import OperationKind, OperationState
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.names import SYSTEM

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deaths(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deaths]:
    room = tmp_path_factory.mktemp("hive")
    async with running_hive(room, timeouts=TIMEOUTS, peers=True) as hive:
        await propose_all(hive)
        async with dying(hive) as told:
            yield told


async def test_what_a_proposal_left_when_hived_died_is_removed(deaths: Deaths) -> None:
    """As it is between the making of the repository and that of the approval."""
    layout = deaths.hive.local.config.layout
    stray = AppliedRepo.create(layout.applied("stray"))
    commit = seed_main(stray, {"agent.nix": b"{ }"}, message="m")
    stray.tag(TagKind.PROPOSAL, 999, commit, b"{}")
    ran = AppliedRepo.create(layout.applied("ran"))
    commit = seed_main(ran, {"agent.nix": b"{ }"}, message="m")
    ran.tag(TagKind.DEPLOYED, 1, commit)  # a later one would be the store's fault
    await deaths.next_life({})
    found = names(deaths.hive)["applied"]
    await deaths.stop_hived()
    assert "stray.git" not in found
    assert {"ran.git", "alice.git", "bob.git", "carol.git"} <= set(found)


@pytest.mark.parametrize("name", STORIES)
async def test_killed_at_every_step(deaths: Deaths, name: str) -> None:
    story, hive = STORIES[name], deaths.hive
    plans = story.plans()
    await deaths.story(plans[0])
    asked = asyncio.ensure_future(story.request(hive))
    for plan in plans[1:]:
        await deaths.death()
        await deaths.next_life(plan)
    await asyncio.wait([asked])
    newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    same = [o for o in newest if (o.kind, o.agent) == (story.kind, story.agent)]
    # Also hived's own, which starts what is to run.
    at_their_end = [await hive.operation(one.id) for one in same]
    ended = next(one for one in at_their_end if one.requested_by != SYSTEM)
    expected = OperationState.DONE if story.fail_at is None else OperationState.FAILED
    assert ended.state is expected, ended
    await story.check(hive)
    deaths.lives = True


async def test_no_process_and_no_upload_is_left(deaths: Deaths) -> None:
    """After the last story hived dies, and so does all that it ever started."""
    await deaths.story({})
    await deaths.stop_hived()
    for process in inside(deaths.hive):
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(process)
            await asyncio.to_thread(select.select, [ended], [], [], PATIENCE_S)
            os.close(ended)
    assert inside(deaths.hive) == []
    await deaths.next_life({})
    assert names(deaths.hive)["quarantine"] == []
    await deaths.stop_hived()


async def test_every_step_of_every_kind_is_killed() -> None:
    told = {(story.kind, step) for story in STORIES.values() for step in story.steps()}
    handlers = {story.kind: story.machine for story in STORIES.values()}
    assert handlers.keys() == set(OperationKind)
    for kind, machine in handlers.items():
        killed = {step for where, step in told if where is kind}
        ways = set(machine.steps) - set(MENDING.get(machine, ()))
        assert killed >= ways
    for machine in MENDING:
        killed = {s for k, s in told if handlers[k] is machine}
        assert killed == set(machine.steps)
