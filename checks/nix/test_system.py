"""Evaluating an agent's system before anybody approved it: what it gives, and that
nothing outside is read, fetched, built or put into the host's store by it.
"""

import asyncio
import os
import re
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from checks.fuzz.test_nix_attacks import READS, SECRET, secret_beside, way_to
from checks.kits.manifest.smallest import MANIFEST
from checks.kits.nix.evaluator import BARE, BOTH, agent
from checks.kits.nix.system import UID, SystemKit, bare, environment
from pyglue.errors import ErrorCode, HiveError
from pyglue.nix import EvalError
from pyglue.nix.packages import diff_packages, requisites
from pyglue.nix.system import SystemEvaluator
from pyglue.paths import share

pytestmark = pytest.mark.needs("nix")

PLAIN: Final = "{ pkgs, ... }: { environment.systemPackages = [ pkgs.jq ]; }\n"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> SystemKit:
    """Give a store that this module's tests share."""
    return SystemKit.make(tmp_path_factory.mktemp("systems"))


@pytest.fixture(scope="module", params=BOTH)
def made(request: pytest.FixtureRequest, kit: SystemKit) -> SystemEvaluator:
    """Give an evaluator with bubblewrap, then one without."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == BARE:
            bare(patch)
        return kit.evaluator()


def said(expression: str) -> str:
    """Return an agent.nix with a unit whose description is an expression."""
    return (
        "{ lib, pkgs, ... }: "
        f"{{ systemd.services.x.description = toString ({expression}); }}\n"
    )


async def refused(
    kit: SystemKit, directory: Path, evaluator: SystemEvaluator | None = None
) -> EvalError:
    with pytest.raises(EvalError) as caught:
        await kit.evaluate(directory, evaluator=evaluator)
    return caught.value


# --- what it gives --------------------------------------------------------------


async def test_is_the_derivation_that_nix_itself_makes(
    kit: SystemKit, made: SystemEvaluator, tmp_path: Path
) -> None:
    directory = agent(tmp_path / "a", PLAIN)
    drv = await kit.evaluate(directory, evaluator=made)
    arguments = {
        "nixpkgs": str(kit.nixpkgs),
        "agent": str(directory),
        "name": "alice",
        "system": "x86_64-linux",
    }
    strings = [part for pair in arguments.items() for part in ("--argstr", *pair)]
    done = subprocess.run(
        [
            *("nix-instantiate", str(share() / "modules/hive/system.nix")),
            *("--attr", "toplevel", *strings, "--arg", "uid", str(UID)),
            *("--arg", "manifest", "{ network = false; }"),
        ],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == drv
    assert drv in await requisites(kit.store, drv)
    assert not list((kit.room / "root/nix/store").glob("*-standin"))


async def test_depends_on_the_pinned_network_and_not_on_config_hyperhive(
    kit: SystemKit, tmp_path: Path
) -> None:
    plain = agent(tmp_path / "a", "{ }")
    claims = agent(
        tmp_path / "b", '{ hyperhive.network = true; hyperhive.prompt = ""; }'
    )
    pinned = {**MANIFEST, "network": True}
    without = await kit.evaluate(plain)
    assert await kit.evaluate(claims) == without
    assert await kit.evaluate(plain, manifest={**MANIFEST, "prompt": "x"}) == without
    assert await kit.evaluate(plain, manifest=pinned) == without  # no firewall in it
    assert await kit.evaluate(plain, manager=True) != without


async def test_takes_the_administrators_modules(kit: SystemKit, tmp_path: Path) -> None:
    module = tmp_path / "our's $x.nix"
    module.write_text("{ systemd.services.ours.serviceConfig.ExecStart = ''/x''; }")
    module.chmod(0o600)
    directory = agent(tmp_path / "a", "{ }")
    evaluator = kit.evaluator(modules=(str(module),))
    drv = await kit.evaluate(directory, evaluator=evaluator)
    names = await requisites(kit.store, drv)
    assert any(name.endswith("-unit-ours.service.drv") for name in names)


@pytest.mark.parametrize("what", ["nixpkgs", "framework", "modules"])
def test_a_wrong_path_is_the_operators_error(
    kit: SystemKit, tmp_path: Path, what: str
) -> None:
    path = str(tmp_path / "none")
    with pytest.raises(HiveError, match=f"nixos.{what} in the config") as caught:
        kit.evaluator(**{what: (path,) if what == "modules" else path})
    assert caught.value.code == ErrorCode.CONFIG_INVALID


# --- what it refuses ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(READS))
async def test_nothing_outside_is_reached(
    kit: SystemKit, made: SystemEvaluator, tmp_path: Path, name: str
) -> None:
    secret = secret_beside(tmp_path)
    room = agent(tmp_path / "agent", said(READS[name]))
    (room / "link").symlink_to(secret / "file")
    (room / "directory").symlink_to(secret)
    built = Path("/tmp/hive-built")
    try:
        drv = await kit.evaluate(room, evaluator=made)
    except EvalError as error:
        assert error.code == ErrorCode.EVAL_FAILED
        assert SECRET not in error.message and "root:" not in error.message
    else:
        assert name in {"exists", "to-file", "list"}
        paths = map(kit.store.real, await requisites(kit.store, drv))
        texts = [path.read_text() for path in paths if not path.is_dir()]
        assert not any(SECRET in text for text in texts)
        if name == "list":  # since Nix 2.20
            found = re.findall(r"\[Unit\]\\nDescription=([a-z ]+)\\n", "".join(texts))
            sandboxed = made._chosen().sandboxed
            way = {"nix", *way_to(sandboxed, room, kit.nixpkgs, share())}
            assert len(found) == 1 and set(found[0].split()) <= way
    assert not built.exists()


async def test_nothing_is_fetched_or_built_and_the_fetch_is_shown(
    kit: SystemKit, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/tool.tar.gz"
        body = f"""{{ pkgs, ... }}: {{ environment.systemPackages = [
          (pkgs.build {{
            name = "tool-2.0"; pname = "tool"; version = "2.0";
            src = pkgs.fetchurl {{ url = "{url}"; sha256 = "{"0" * 52}"; }};
            script = "touch /tmp/hive-built";
          }})
        ]; }}"""
        drv = await kit.evaluate(agent(tmp_path / "a", body))
        with pytest.raises(BlockingIOError):
            server.accept()
    before = await kit.evaluate(agent(tmp_path / "b", "{ }"))
    found = await diff_packages(kit.store, before, drv, base=7)
    assert [(p.name, p.before, p.after) for p in found.packages] == [
        ("tool", (), ("2.0",))
    ]
    (fetch,) = found.fetches
    assert (fetch.name, fetch.urls) == ("tool.tar.gz", (url,))
    assert fetch.hash.startswith("sha256:") and fetch.builder == "builtin:fetchurl"
    assert found.base == 7
    assert not Path("/tmp/hive-built").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{ lib, ... }: { system.build.toplevel = lib.mkForce 1; }", "derivation"),
        ('{ systemd.services.x.description = throw "why"; }', "why"),
        ("{ system.name = 1; }", "system.name"),
        ("{ pkgs, ... }: { environment.systemPackages = [ pkgs.none ]; }", "none"),
        ("{ imports = [ ./no.nix ]; }", "no.nix"),
    ],
)
async def test_errors_say_what_is_wrong(
    kit: SystemKit, tmp_path: Path, body: str, words: str
) -> None:
    error = await refused(kit, agent(tmp_path / "a", body))
    assert error.code == ErrorCode.EVAL_FAILED
    assert error.message.startswith("Cannot evaluate the system of agent.nix.")
    assert words in error.message
    assert str(tmp_path) not in error.message and "/hive/" not in error.message


@pytest.mark.parametrize(
    "expression",
    [
        "let f = n: 1 + f (n + 1); in f 0",
        "lib.foldl' (s: _: s + s) ''xxxxxxxxxxxxxxxx'' (lib.genList (x: x) 60)",
        "lib.length (lib.genList (x: x) 4000000000)",
    ],
)
async def test_endless_evaluations_end(
    kit: SystemKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expression: str
) -> None:
    monkeypatch.setattr("pyglue.nix.system._MEMORY_MAX", 1024**3)
    error = await refused(kit, agent(tmp_path / "a", said(expression)))
    assert error.code == ErrorCode.EVAL_LIMIT


async def test_an_evaluation_that_takes_too_long_is_ended(
    kit: SystemKit, tmp_path: Path
) -> None:
    slow = "builtins.match ''(x+x+)+y'' (lib.concatStrings (lib.genList (_: ''x'') 60))"
    evaluator = kit.evaluator(evaluate_s=1.0)
    error = await refused(kit, agent(tmp_path / "a", said(slow)), evaluator)
    assert error.code == ErrorCode.EVAL_LIMIT


@pytest.mark.parametrize("what", ["_CACHE_MAX", "_CACHE_FILES_MAX"])
async def test_what_fills_the_disk_is_refused(
    kit: SystemKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    limit = {"_CACHE_MAX": 2 * 1024**2, "_CACHE_FILES_MAX": 1000}[what]
    monkeypatch.setattr(f"pyglue.nix.bounded_cache.{what}", limit)
    text = "lib.concatStrings (lib.genList (_: ''0123456789abcdef'') 65536)"
    files = {
        "_CACHE_MAX": f"lib.genList (n: builtins.toFile ''f'' (toString n + {text})) 9",
        "_CACHE_FILES_MAX": "lib.genList (n: builtins.toFile ''f'' (toString n)) 999",
    }[what]
    error = await refused(kit, agent(tmp_path / "a", said(files)))
    assert error.code == ErrorCode.EVAL_LIMIT
    assert "to the store" in error.message


async def test_cancelling_ends_it(kit: SystemKit, tmp_path: Path) -> None:
    slow = "builtins.match ''(x+x+)+y'' (lib.concatStrings (lib.genList (_: ''x'') 60))"
    directory = agent(tmp_path / "a", said(slow))
    task = asyncio.create_task(kit.evaluate(directory))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- the way into the host's store -------------------------------------------------


async def test_nothing_gets_into_the_store_under_anothers_name(
    kit: SystemKit, tmp_path: Path
) -> None:
    """As if the evaluator itself had been taken over: its cache says what it likes."""
    victim = "/nix/store/00000000000000000000000000000000-bash-5.2"
    directory = agent(tmp_path / "a", said("''forged''"))
    async with kit.evaluator().evaluated(
        directory, MANIFEST, name="alice", manager=False
    ) as evaluated:
        some = next(evaluated.cache.glob("*.narinfo"))
        lines = some.read_text().splitlines()
        forged = [
            f"StorePath: {victim}" if line.startswith("StorePath:") else line
            for line in lines
        ]
        for content in (forged, [x for x in forged if not x.startswith("CA:")]):
            hashed = victim.removeprefix("/nix/store/")[:32]
            path = evaluated.cache / f"{hashed}.narinfo"
            path.write_text("\n".join(content) + "\n")
            lying = replace(evaluated, drv=victim)
            with pytest.raises(HiveError) as caught:
                await lying.into_store()
            assert caught.value.code == ErrorCode.UNAVAILABLE
            assert not kit.store.real(victim).exists()


async def test_changed_content_is_refused(kit: SystemKit, tmp_path: Path) -> None:
    directory = agent(tmp_path / "a", said("''to-be-changed''"))
    async with kit.evaluator().evaluated(
        directory, MANIFEST, name="alice", manager=False
    ) as evaluated:
        for nar in (evaluated.cache / "nar").iterdir():
            nar.write_bytes(
                nar.read_bytes().replace(b"to-be-changed", b"was-a-changed")
            )
        with pytest.raises(HiveError) as caught:
            await evaluated.into_store()
    assert caught.value.code == ErrorCode.UNAVAILABLE
    assert not kit.store.real(evaluated.drv).exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "hard link"])
async def test_what_nix_does_not_write_is_not_read(
    kit: SystemKit, tmp_path: Path, kind: str
) -> None:
    directory = agent(tmp_path / "a", "{ }")
    async with kit.evaluator().evaluated(
        directory, MANIFEST, name="alice", manager=False
    ) as evaluated:
        odd = evaluated.cache / "odd.narinfo"
        match kind:
            case "link":
                odd.symlink_to("/etc/passwd")
            case "pipe":
                os.mkfifo(odd)
            case _:
                odd.hardlink_to(evaluated.cache / "nix-cache-info")
        with pytest.raises(HiveError, match="never writes"):
            await evaluated.into_store()


# --- the package diff ----------------------------------------------------------------


def package(name: str, version: str, pname: str | None = None) -> str:
    return (
        f'(pkgs.build {{ name = "{name}"; pname = "{pname or name}"; '
        f'version = "{version}"; script = "mkdir -p $out/bin"; }})'
    )


def with_packages(*packages: str) -> str:
    listed = " ".join(packages)
    return f"{{ pkgs, ... }}: {{ environment.systemPackages = [ {listed} ]; }}"


async def test_versions_are_compared_by_name(kit: SystemKit, tmp_path: Path) -> None:
    old = with_packages(package("a", "1"), package("b", "1"), package("same", "3"))
    new = with_packages(package("a", "2"), package("c", "1"), package("same", "3"))
    before = await kit.evaluate(agent(tmp_path / "a", old))
    after = await kit.evaluate(agent(tmp_path / "b", new))
    found = await diff_packages(kit.store, before, after, base=1)
    assert [(p.name, p.before, p.after) for p in found.packages] == [
        ("a", ("1",), ("2",)),
        ("b", ("1",), ()),
        ("c", (), ("1",)),
    ]
    assert (found.fetches, found.left_out, found.rebuilt) == ((), 0, 0)
    nothing = await diff_packages(kit.store, after, after, base=1)
    assert (nothing.packages, nothing.derivations) == ((), 0)
    everything = await diff_packages(kit.store, None, after, base=None)
    assert {"a", "c", "same", "git"} <= {p.name for p in everything.packages}


async def test_what_is_only_built_again_is_counted(
    kit: SystemKit, tmp_path: Path
) -> None:
    again = package("x", "1").replace("mkdir", ": again; mkdir")
    before = await kit.evaluate(agent(tmp_path / "a", with_packages(package("x", "1"))))
    after = await kit.evaluate(agent(tmp_path / "b", with_packages(again)))
    found = await diff_packages(kit.store, before, after, base=1)
    assert (found.packages, found.rebuilt) == ((), 1)


async def test_hostile_names_are_made_visible_and_lists_are_bounded(
    kit: SystemKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.nix.packages._LISTED_MAX", 2)
    odd = 'jq"; pname = builtins.fromJSON "\\"\\\\u001b[2J\\\\u202e<b>\\""; q = "'
    packages = [
        package("p-1", "1\\nforged").replace('pname = "p-1"', f'pname = "{odd}"'),
        *(package(f"q{n}", "1") for n in range(5)),
    ]
    body = with_packages(*packages).replace('pname = "jq"; ', "")
    before = await kit.evaluate(agent(tmp_path / "a", "{ }"))
    after = await kit.evaluate(agent(tmp_path / "b", body))
    found = await diff_packages(kit.store, before, after, base=1)
    assert len(found.packages) == 2 and found.left_out == 4
    text = repr(found)
    assert "\x1b" not in text and "\u202e" not in text
    first = found.packages[0]
    assert first.name == "\\x1b[2J\\u202e<b>"
    assert first.after == ("1\\nforged",)


async def test_a_file_that_claims_to_be_a_derivation_is_refused(
    kit: SystemKit, tmp_path: Path
) -> None:
    body = said("''${builtins.toFile ''x.drv'' ''Derive(garbage''}''")
    with pytest.raises(HiveError) as caught:  # by the store, or by newer Nix itself
        await kit.evaluate(agent(tmp_path / "a", body))
    assert caught.value.code in {ErrorCode.UNAVAILABLE, ErrorCode.EVAL_FAILED}
    assert "/tmp/" not in caught.value.message


@pytest.mark.parametrize("name", ["template", "manager", "alice"])
async def test_agents_of_the_repository_have_systems(kit: SystemKit, name: str) -> None:
    directory = share() / "agents" / name
    assert await kit.evaluate(directory, manager=name == "manager")
