"""An agent that clones and pushes with a token that it never sees, by real programs.

``forge.test`` is a Git server with TLS on loopback that serves nothing without the
token; ``other.test`` is the same one under another name.
"""

import asyncio
import base64
import contextlib
import mmap
import os
import tarfile
from array import array
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from checks.kits.cli import run
from checks.kits.egress.bench import make_certificate
from checks.kits.git.forge import Setting, forging
from checks.kits.host.hive import harnesses, running_hive
from checks.kits.process.processes import command, family
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams, Danger
from pyglue.api.common import NoParams
from pyglue.api.manager import AgentParams
from pyglue.api.operations import OperationState
from pyglue.api.secrets import SecretParams, SecretSetParams

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap", "openssl"),
]

NIX: Final = """{
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = null;
  hyperhive.network.allow = [ "forge.test:%(port)d" "other.test:%(port)d" ];
  hyperhive.secrets.FORGE_TOKEN.inject = [
    { host = "forge.test:%(port)d"; preset = "git"; }
  ];
}
"""
NAMES: Final = dict.fromkeys(("forge.test", "other.test"), "127.0.0.1")
TOKEN: Final = "forge-token-3f9c1b7a5d"
BASIC: Final = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
_STRETCH: Final = 1 << 20
_PRESENT: Final = 62
"""From this bit on an entry of pagemap says that the page is in memory or swapped."""
FORMS: Final = (TOKEN.encode(), BASIC.rstrip("=").encode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    """Alice's hive; her proposal is approved, the token is not set yet."""
    room = tmp_path_factory.mktemp("secrets")
    pair = make_certificate(room, "forge.test", "other.test")
    with forging(room, pair) as forge:
        forge.wanted = f"Basic {BASIC}"
        async with running_hive(
            room,
            names=NAMES,
            authorities=pair[0],
            real=("alice",),
            beside=("relay", "egress"),
        ) as hive:
            port = forge.server_address[1]
            proposal = await hive.propose("alice", NIX % {"port": port})
            asked = ApprovalParams(id=proposal.approval)
            shown = await hive.operator.call(api.APPROVAL, asked)
            (change,) = [
                one
                for one in shown.policy
                if one.option == "hyperhive.secrets.FORGE_TOKEN.inject"
            ]
            assert change.danger is Danger.CRITICAL
            assert change.sentence == (
                f"Requests to forge.test:{port} carry FORGE_TOKEN, which the agent "
                "does not see, as Git's password."
            )
            (secret,) = shown.secrets
            assert "hive secret set FORGE_TOKEN" in str(secret.problem)
            assert (await hive.approve(proposal)).state is OperationState.DONE
            yield Setting(hive, forge, None)


async def problem(at: Setting) -> str | None:
    """Return what is wrong with alice's secret, by her page and by the doctor."""
    detail = await at.hive.operator.call(api.AGENT, AgentParams(agent="alice"))
    (secret,) = detail.secrets
    checks = (await at.hive.operator.call(api.DOCTOR, NoParams())).checks
    found = [one.message for one in checks if one.name == "secrets of alice"]
    assert found == ([] if secret.problem is None else [secret.problem])
    return secret.problem


async def set_token(at: Setting, value: str = TOKEN) -> None:
    """Set the token, as the operator does."""
    params = SecretSetParams(name="FORGE_TOKEN", value=value)
    await at.hive.operator.call(api.SECRET_SET, params)


def memory(pid: int) -> Iterator[bytes]:
    """Yield the memory that a process has written, region by region.

    The CLI reserves gigabytes that it never touches: they are passed over.
    """
    proc = Path(f"/proc/{pid}")
    with (
        (proc / "mem").open("rb", buffering=0) as file,
        (proc / "pagemap").open("rb", buffering=0) as pages,
    ):
        for line in (proc / "maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(one, 16) for one in span.split("-"))
            for begin in range(start, end, _STRETCH):
                length = min(_STRETCH, end - begin)
                pages.seek(begin // mmap.PAGESIZE * 8)
                found = array("Q", pages.read(length // mmap.PAGESIZE * 8))
                if any(page >> _PRESENT for page in found):
                    with contextlib.suppress(OSError):
                        file.seek(begin)
                        yield file.read(length)


def holds(pid: int, *needles: bytes) -> bool:
    """Tell whether a process holds one of them in its memory or environment."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        return any(
            needle in data
            for data in chain([environment], memory(pid))
            for needle in needles
        )
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended


async def test_a_missing_token_is_a_problem_of_the_agent(at: Setting) -> None:
    """It was deployed all the same; who asks is told what to do."""
    assert (
        await problem(at)
        == "FORGE_TOKEN is not set: run `hive secret set FORGE_TOKEN`."
    )
    said = await at.run(f"git clone {at.url}/p.git; echo code $?")
    assert "code 128" in said, said
    assert at.forge.asked == []
    await set_token(at)
    assert await problem(at) is None


async def test_git_clones_and_pushes(at: Setting) -> None:
    """Over HTTPS, with nothing set by the agent at all."""
    said = await at.run(
        f"git clone {at.url}/p.git && cd p && echo 1 > a && "
        "git add a && git commit -qm one && git push origin HEAD:main && "
        f"git ls-remote {at.url}/p.git"
    )
    assert "refs/heads/main" in said, said
    assert any(one.startswith("POST /p.git/git-receive-pack") for one in at.forge.asked)


async def test_other_programs_trust_it_as_well(at: Setting) -> None:
    """curl and Python by their variables; what is not injected stays as it is."""
    url = f"{at.url}/simple/thing/"
    python = f'import urllib.request as u; print("python", u.urlopen("{url}").status)'
    said = await at.run(
        f"curl -sS {url} -o /dev/null -w 'curl %{{http_code}}\\n'; "
        f"python3 -c '{python}'; "
        f"curl -sS https://other.test:{at.port}/; echo other $?"
    )
    assert "curl 200" in said and "python 200" in said, said
    assert "other 60" in said, said  # its own certificate, which nobody trusts


@pytest.mark.needs("npm")
async def test_node_trusts_it_as_well(at: Setting) -> None:
    """npm gets a registry's answer with it."""
    said = await at.run(
        f"npm view thing version --no-update-notifier --registry {at.url}/"
    )
    assert "1.0.0" in said, said


async def test_a_redirect_takes_nothing_along(at: Setting) -> None:
    """It is the agent's own next request, to a host that gets no token."""
    said = await at.run(f"curl -skL {at.url}/elsewhere; echo code $?")
    assert "code 0" in said, said
    assert at.forge.asked[-2:] == ["GET /elsewhere", "GET /echo"]
    assert not any(form in said.encode() for form in FORMS)


async def test_the_agent_never_sees_it(at: Setting) -> None:
    """Not in an echo, its environment, its files, or the memory of its processes."""
    said = await at.run(
        f"curl -sS {at.url}/echo; env; cat /proc/*/environ; "
        "cat /run/hive/ca.pem /run/hive/manifest.json; git config --list"
    )
    assert "authorization: Basic ****" in said, said
    assert not any(form in said.encode() for form in FORMS)
    at.forge.waiting.clear()
    at.forge.go_on.clear()

    async def look() -> bool | None:
        return at.forge.waiting.is_set() or None

    running = asyncio.create_task(at.run(f"curl -sS {at.url}/slow"))
    await at.hive.until(look, "a request in flight", every=0.2)
    try:
        inside = {
            pid for one in harnesses(at.hive.local) for pid in (one, *family(one))
        }
        assert any("curl" in command(pid)[:1] for pid in inside)
        assert any(holds(pid, b"HTTPS_PROXY=http://127.0.0.1") for pid in inside)
        assert [pid for pid in inside if holds(pid, *FORMS)] == []
    finally:
        at.forge.go_on.set()
    assert "slow" in await running


async def test_it_is_only_where_the_operator_put_it(at: Setting) -> None:
    """Not in the store, events, logs or Git, and not in a backup."""
    hive = at.hive
    rooms = {hive.state, hive.local.place.temporary}
    holding = {
        path.name
        for room in rooms
        for path in room.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in FORMS)
    }
    assert holding == {"FORGE_TOKEN"}
    assert all(not any(f in bytes(one.data) for f in FORMS) for one in hive.events)
    target = hive.state.parent / "backup.tar.gz"
    socket = hive.local.config.layout.operator_socket
    said = run.typed("backup", "-o", target, "--socket", socket)
    assert said.code == 0, said.err
    with tarfile.open(target) as archive:
        names = archive.getnames()
        assert names and not [one for one in names if "FORGE_TOKEN" in one]
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            data = b"" if file is None else file.read()
            assert not any(form in data for form in FORMS), member.name


async def test_its_use_is_in_the_audit_log(at: Setting) -> None:
    """Once a day for an agent, without the value."""
    text = at.hive.local.config.layout.audit_log.read_text()
    assert text.count('"secret_used"') == 1 and TOKEN not in text


async def test_hive_egress_comes_back_with_another_authority(at: Setting) -> None:
    """What runs hears of it, and a rotated value holds at once."""
    hive = at.hive
    place = hive.local.config.layout.run("alice") / "ca.pem"
    before = place.read_text()
    await set_token(at, "another")
    said = await at.run(f"git ls-remote {at.url}/p.git; echo code $?")
    assert "code 128" in said, said
    await set_token(at)

    os.kill(hive.local.pid("hive-egress"), 9)
    keeper = asyncio.create_task(hive.local.ended())
    said = await at.run(f"git ls-remote {at.url}/p.git; echo code $?")
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert "refs/heads/main" in said and "code 0" in said, said
    assert place.read_text() != before
    await hive.operator.call(api.SECRET_REMOVE, SecretParams(name="FORGE_TOKEN"))
    assert "FORGE_TOKEN is not set" in str(await problem(at))
