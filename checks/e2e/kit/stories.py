"""Operations of an agent's life: what leads to each, and what holds after it."""

from checks.e2e.kit.deaths import Story
from checks.e2e.kit.life import (
    all_rebuilt,
    approve,
    call,
    destroyed,
    drafted,
    failed,
    imports,
    is_deployed,
    is_imported,
    is_not_proposed,
    no_erin,
    not_imported,
    not_restored,
    purged,
    restore,
    rollback,
    started,
    still_there,
    stopped,
)
from pyglue.api import operator as api
from pyglue.api.manager import REBUILD, RESTART, START, STOP
from pyglue.api.operations import OperationKind
from pyglue.config import Timeouts
from pyglue.host.agents.start_stop import Running
from pyglue.host.archives.importing import ImportHandler
from pyglue.host.changes.deploy import Deploy
from pyglue.host.changes.rebuild import RebuildAllHandler
from pyglue.host.life.destroy import DestroyHandler
from pyglue.host.life.drafts import DraftHandler
from pyglue.host.life.purge import DiscardHandler, PurgeHandler

TIMEOUTS = Timeouts(health_s=60.0, drain_s=2.0)

K = OperationKind

STORIES = {
    "draft": Story(
        K.DRAFT, "erin", DraftHandler, call(api.DRAFT, name="erin"), drafted
    ),
    "discard": Story(
        K.DISCARD,
        "erin",
        DiscardHandler,
        call(api.DRAFT_DISCARD, agent="erin"),
        no_erin,
    ),
    "draft-fails": Story(
        K.DRAFT,
        "erin",
        DraftHandler,
        call(api.DRAFT, name="erin"),
        no_erin,
        "directories",
    ),
    "spawn": Story(K.SPAWN, "carol", Deploy, approve("carol"), is_deployed("carol")),
    "two-step": Story(K.SPAWN, "bob", Deploy, approve("bob"), is_deployed("bob")),
    "spawn-fails": Story(K.SPAWN, "dave", Deploy, approve("dave"), failed, "apply"),
    "apply": Story(
        K.DEPLOY, "alice", Deploy, approve("alice"), is_deployed("alice", runs=False)
    ),
    "rollback": Story(
        K.ROLLBACK, "alice", Deploy, rollback, is_deployed("alice", runs=False)
    ),
    "rebuild": Story(
        K.REBUILD,
        "alice",
        Deploy,
        call(REBUILD, agent="alice"),
        is_deployed("alice", runs=False),
    ),
    "import": Story(K.IMPORT, "fred", ImportHandler, imports("fred"), is_imported),
    "import-fails": Story(
        K.IMPORT, "gina", ImportHandler, imports("gina"), not_imported, "place"
    ),
    "import-fails-late": Story(
        K.IMPORT,
        "gina",
        ImportHandler,
        imports("gina"),
        not_imported,
        "place",
        late=True,
    ),
    "keep-fails": Story(
        K.IMPORT, "gina", ImportHandler, imports("gina"), not_imported, "keep"
    ),
    "keep-fails-late": Story(
        K.IMPORT,
        "gina",
        ImportHandler,
        imports("gina"),
        not_imported,
        "keep",
        late=True,
    ),
    "propose-fails": Story(
        K.IMPORT,
        "gina",
        ImportHandler,
        imports("gina"),
        is_not_proposed,
        "propose",
        mended=False,
    ),
    "destroy": Story(
        K.DESTROY, "bob", DestroyHandler, call(api.DESTROY, agent="bob"), destroyed
    ),
    "restore-fails": Story(K.RESTORE, "bob", Deploy, restore, not_restored, "apply"),
    "destroy-again": Story(
        K.DESTROY, "bob", DestroyHandler, call(api.DESTROY, agent="bob"), destroyed
    ),
    "restore": Story(K.RESTORE, "bob", Deploy, restore, is_deployed("bob")),
    "destroy-at-last": Story(
        K.DESTROY, "bob", DestroyHandler, call(api.DESTROY, agent="bob"), destroyed
    ),
    "purge": Story(
        K.PURGE,
        "bob",
        PurgeHandler,
        call(api.PURGE, agent="bob", confirm="bob"),
        purged,
    ),
    "destroy-fails": Story(
        K.DESTROY,
        "carol",
        DestroyHandler,
        call(api.DESTROY, agent="carol"),
        still_there,
        "stop",
    ),
    "rebuild-all": Story(
        K.REBUILD_ALL, "hive", RebuildAllHandler, call(api.REBUILD_ALL), all_rebuilt
    ),
    "start": Story(K.START, "carol", Running, call(START, agent="carol"), started),
    "restart": Story(
        K.RESTART, "carol", Running, call(RESTART, agent="carol"), started
    ),
    "stop": Story(K.STOP, "carol", Running, call(STOP, agent="carol"), stopped),
}
