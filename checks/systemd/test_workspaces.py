"""A coding agent in a systemd container, in a git repository of the host."""

import pytest

from checks.kits.host.hive import script
from checks.systemd.hive import SystemHive
from checks.systemd.machine import UNCHECKED
from pyglue.api import operator as api
from pyglue.api.operations import OperationState
from pyglue.api.workspaces import WorkspaceAddParams
from pyglue.errors import ErrorCode, HiveError

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

SITE = "/var/site"
OWNER = "4242"
NIX = """{
  hyperhive.allowedTools = [ "Bash" "Read" "Edit" "Write" ];
  hyperhive.bash.allow = null;
  hyperhive.workspaces.site.access = "%s";
  hyperhive.shared = "%s";
}
"""
PLAIN = '{ hyperhive.description = "plain again"; }'
CODE = "echo $(($1 - $2))\n"
TEST = """if [ "$(bash add.sh 2 3)" = 5 ]; then echo OK; else echo 'FAILED: 2 + 3'; fi
"""


def git(hive: SystemHive, *arguments: str) -> str:
    """Run git in the repository, on the host."""
    who = ("-c", "user.name=o", "-c", "user.email=o@localhost")
    return hive.machine.run("git", "-C", SITE, *who, *arguments).out.strip()


def bash(command: str) -> dict[str, object]:
    return {"tool": "Bash", "input": {"command": command, "description": "work"}}


def report(body: str) -> dict[str, object]:
    return {"tool": "mcp__hive__send", "input": {"to": "operator", "body": body}}


async def deploy(hive: SystemHive, nix: str) -> str | None:
    operation = await hive.approve(await hive.propose("alice", nix))
    if operation.error is None:
        await hive.idle("alice")
        assert operation.state is OperationState.DONE
    return operation.error


@pytest.fixture(scope="module")
def site(hive: SystemHive) -> str:
    machine = hive.machine
    machine.write(f"{SITE}/add.sh", CODE)
    machine.write(f"{SITE}/test.sh", TEST)
    git(hive, "init", "-q", "-b", "main")
    git(hive, "add", "-A")
    git(hive, "commit", "-qm", "Add two numbers")
    machine.write(f"{SITE}/roots", "of root")
    machine.run("chown", "-R", f"{OWNER}:{OWNER}", SITE)
    machine.run("chown", "0:0", f"{SITE}/roots")
    machine.run("chmod", "0600", f"{SITE}/roots", f"{SITE}/add.sh")
    machine.run("chmod", "0700", SITE)
    return SITE


async def test_the_host_names_what_there_is(hive: SystemHive) -> None:
    with pytest.raises(HiveError, match="its workspaces are site") as caught:
        await hive.propose("alice", "{ hyperhive.workspaces.other = { }; }")
    assert caught.value.code is ErrorCode.MANIFEST_INVALID
    params = WorkspaceAddParams(name="other", path=SITE)
    with pytest.raises(HiveError, match="workspaces are set in the NixOS"):
        await hive.operator.call(api.WORKSPACE_ADD, params)


async def test_roots_directory_is_not_written(hive: SystemHive) -> None:
    machine = hive.machine
    machine.run("chown", "0:0", SITE)
    error = await deploy(hive, NIX % ("write", "read"))
    assert error is not None and "belongs to the user or group root" in error


async def test_a_workspace_that_is_not_mounted_is_named(
    hive: SystemHive, site: str
) -> None:
    machine = hive.machine
    unit = "run-hyperhive\\x2dworkspaces-site.mount"
    machine.run("systemctl", "stop", unit)
    machine.run("mv", SITE, "/var/elsewhere")
    machine.run("ln", "-s", "/etc", SITE)
    assert machine.run("systemctl", "start", unit, check=False).code != 0
    error = await deploy(hive, NIX % ("read", "write"))
    assert error is not None
    assert "The directory of the workspace site" in error and "is not mounted" in error
    machine.run("rm", SITE)
    machine.run("mv", "/var/elsewhere", SITE)
    machine.run("systemctl", "start", unit)  # the next test's deploy finds it again


async def test_it_tests_edits_commits_and_reports(hive: SystemHive, site: str) -> None:
    with hive.machine.harness(UNCHECKED):
        assert await deploy(hive, NIX % ("write", "write")) is None
    tests = "cd /work/site && bash test.sh 2>&1"
    edit = {
        "file_path": "/work/site/add.sh",
        "old_string": "$1 - $2",
        "new_string": "$1 + $2",
    }
    reads = {"file_path": "/work/site/add.sh"}
    await hive.send(
        "alice",
        script(
            bash(f"{tests}; cat /work/site/roots 2>&1; id -u"),
            {"tool": "Read", "input": reads},
            {"tool": "Edit", "input": edit},
            bash(tests),
            bash(
                "cd /work/site; git add add.sh && git commit -qm 'Add, do not "
                "subtract'; git log -1; echo done > /shared/note"
            ),
            report(
                "first: {{result:FAILED.*}}; {{result:Permission denied}}; "
                "then: {{result:OK$}}; {{result:commit ([0-9a-f]+)}}"
            ),
            {"text": "done"},
        ),
    )
    answer = await hive.answer("alice", "first:")
    head = git(hive, "rev-parse", "HEAD")
    said = f"first: FAILED: 2 + 3; Permission denied; then: OK; {head}"
    assert answer.body == said
    assert git(hive, "log", "-1", "--format=%s") == "Add, do not subtract"
    machine = hive.machine
    foreign = machine.run("find", SITE, "!", "-user", OWNER, "-printf", "%f\\n").out
    assert foreign.split() == ["roots"]
    groups = machine.run("find", SITE, "!", "-group", OWNER, "-printf", "%f\\n").out
    assert groups.split() == ["roots"]


async def test_nobody_in_the_container_is_root_there(
    hive: SystemHive, site: str
) -> None:
    tries = """
import json, os
found = {}
os.setgid(0); os.setuid(0)
flags = os.statvfs("/work/site").f_flag
found["flags"] = [bool(flags & one) for one in (os.ST_NOSUID, os.ST_NODEV)]
for name, call in (
    ("read", lambda: open("/work/site/roots").read()),
    ("make", lambda: open("/work/site/of-root", "w")),
    ("own", lambda: os.chown("/work/site/add.sh", 0, 0)),
):
    try:
        call()
        found[name] = "done"
    except OSError as error:
        found[name] = error.strerror
print(json.dumps(found))
"""
    found = hive.inside("alice", tries)
    assert found.pop("flags") == [True, True]
    assert "done" not in found.values(), found


async def test_shared_is_read_by_the_others(hive: SystemHive) -> None:
    look = (
        "import json, os; print(json.dumps([open('/shared/note').read(), "
        "bool(os.statvfs('/shared').f_flag & os.ST_RDONLY)]))"
    )
    assert hive.inside("manager", look) == ["done\n", True]
    shown = hive.inside("alice", look)
    assert shown == ["done\n", False]


async def test_with_read_access_nothing_is_written(hive: SystemHive, site: str) -> None:
    with hive.machine.harness(UNCHECKED):
        assert await deploy(hive, NIX % ("read", "read")) is None
    look = (
        "import json, os; print(json.dumps(["
        "bool(os.statvfs('/work/site').f_flag & os.ST_RDONLY), "
        "os.path.exists('/work/site/add.sh')]))"
    )
    assert hive.inside("alice", look) == [True, True]
    await hive.send(
        "alice",
        script(
            bash("touch /work/site/new /shared/new 2>&1; cat /work/site/add.sh"),
            report("read: {{result:\\$1 . \\$2}}; {{result:Read-only file system}}"),
            {"text": "done"},
        ),
    )
    answer = await hive.answer("alice", "read:")
    assert answer.body == "read: $1 + $2; Read-only file system"
    assert await deploy(hive, PLAIN) is None  # for the next file
