"""An agent that may reach one host, from inside its real sandbox, by real programs.

``forge.test`` is a Git server with TLS on loopback, and ``other.test`` is the same one
under a name that is not allowed.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from checks.kits.egress.bench import make_certificate
from checks.kits.git.forge import Setting, forging
from checks.kits.host.hive import running_hive
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams, Effect
from pyglue.api.operations import OperationState
from pyglue.cli.local.launcher import PARTS

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap", "openssl"),
]

NIX: Final = """{
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = null;
  hyperhive.network.allow = [ "forge.test:%d" "*.pages.test" ];
}
"""
NAMES: Final = dict.fromkeys(("forge.test", "other.test", "a.pages.test"), "127.0.0.1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    """Alice's hive, once her proposal is approved."""
    room = tmp_path_factory.mktemp("egress")
    pair = make_certificate(room, "forge.test", "other.test", "a.pages.test")
    with forging(room, pair) as forge:
        async with running_hive(
            room, names=NAMES, real=("alice",), beside=PARTS
        ) as hive:
            nix = NIX % forge.server_address[1]
            proposal = await hive.propose("alice", nix)
            shown = await hive.operator.call(
                api.APPROVAL, ApprovalParams(id=proposal.approval)
            )
            (change,) = [
                one for one in shown.policy if one.option == "hyperhive.network.allow"
            ]
            assert change.effect is Effect.WIDENS
            assert "May now reach the hosts forge.test:" in change.sentence
            assert (await hive.approve(proposal)).state is OperationState.DONE
            yield Setting(hive, forge, pair[0].read_text())


async def test_git_clones_and_pushes(at: Setting) -> None:
    """Over HTTPS, with nothing set by the agent but whom to trust."""
    said = await at.run(
        f"git clone https://forge.test:{at.port}/p.git && cd p && echo 1 > a && "
        "git add a && git commit -qm one && git push origin HEAD:main && "
        f"git ls-remote https://forge.test:{at.port}/p.git"
    )
    assert "refs/heads/main" in said, said
    used = await at.until("forge.test", refused=False)
    assert used.port == at.port and used.connections >= 1


async def test_another_host_is_refused_with_what_to_ask_for(at: Setting) -> None:
    """The operator sees it, with the entry that would let it through."""
    said = await at.run(
        f"curl -sv https://other.test:{at.port}/p.git/HEAD; echo code $?"
    )
    assert "hyperhive.network.allow" in said, said
    assert "CONNECT tunnel failed, response 403" in said
    used = await at.until("other.test", refused=True)
    assert used.entry == f"other.test:{at.port}"
    assert (await at.hive.agent("alice")).egress is not None


async def test_there_is_no_other_way_out(at: Setting) -> None:
    """Not by a name, not by an address, not to the hive's own processes."""
    web = at.hive.local.config.web.port
    said = await at.run(
        f"curl -s -m 5 --noproxy '*' https://127.0.0.1:{at.port}/; echo direct $?; "
        f"curl -s -m 5 https://127.0.0.1:{at.port}/; echo local $?; "
        f"curl -s -m 5 --noproxy x http://127.0.0.1:{web}/; "
        f"curl -s -m 5 --noproxy x http://localhost:{web}/; "
        f"curl -s -m 5 -g 'http://[::ffff:127.0.0.1]:{web}/'; "
        "curl -s -m 5 http://169.254.169.254/latest/meta-data/"
    )
    assert "direct 7" in said and "local 7" in said, said
    for host in (f"127.0.0.1:{web}", f"localhost:{web}", "169.254.169.254:80"):
        assert f"You may not reach {host}." in said, said
    assert "You may not reach [::ffff:" in said, said


@pytest.mark.needs("pip")
async def test_pip_installs(at: Setting) -> None:
    """From the index that it is told of, through the proxy of its environment."""
    said = await at.run(
        "/usr/bin/python3 -m pip --disable-pip-version-check install --no-deps "
        "--target t --cert /tmp/ca.pem "
        f"--index-url https://forge.test:{at.port}/simple thing && "
        "PYTHONPATH=t /usr/bin/python3 -c 'import thing; print(thing.SAYS)'"
    )
    assert "a wheel" in said, said


@pytest.mark.needs("npm")
async def test_npm_installs(at: Setting) -> None:
    """From the registry that it is told of, through the proxy of its environment."""
    said = await at.run(
        "mkdir -p n && cd n && echo '{}' > package.json && npm install --no-audit "
        "--no-fund --cafile /tmp/ca.pem "
        f"--registry https://forge.test:{at.port}/ thing && "
        "node -e \"console.log('by ' + require('thing').a)\""
    )
    assert "by npm" in said, said


async def test_nix_fetches(at: Setting) -> None:
    """Into a store of the agent's own: the host's is read-only in the sandbox."""
    own = " ".join(
        f"NIX_{name}_DIR=/state/nix/{name.lower()}"
        for name in ("STORE", "STATE", "LOG", "LOCALSTATE", "CONF")
    )
    said = await at.run(
        f"export NIX_SSL_CERT_FILE=/tmp/ca.pem NIX_REMOTE= {own}; "
        f"nix-prefetch-url https://forge.test:{at.port}/thing/-/thing-1.0.0.tgz && "
        "tar -xOzf /state/nix/store/*-thing-1.0.0.tgz package/i.js"
    )
    assert "exports.a = 'npm'" in said, said


async def test_it_dies_and_comes_back(at: Setting) -> None:
    """Nothing else of the hive is affected, and new connections work."""
    hive = at.hive
    os.kill(hive.local.pid("hive-egress"), 9)
    keeper = asyncio.create_task(hive.local.ended())
    refs = f"https://forge.test:{at.port}/p.git/info/refs?service=git-upload-pack"
    said = await at.run(f"curl -sS -m 60 '{refs}' -o -")
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert "# service=git-upload-pack" in said, said
