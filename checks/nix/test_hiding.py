"""No agent.nix sets a NixOS option that the approval does not name.

Each module tries to tell the manifest's evaluation from the system's, or this day from
another, and to set options in one of them only. All go through hived as a manager's
commit does; each must be named as widening, or be refused.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from checks.kits.host.way import Way, opened
from checks.kits.nix.system import SystemKit
from checks.kits.patience import PATIENCE_S
from pyglue.api.approvals import Effect
from pyglue.errors import HiveError
from pyglue.nix.evaluator import Evaluator

pytestmark = [
    pytest.mark.needs("nix", "git", "root"),
    pytest.mark.asyncio(loop_scope="module"),
]

EVIL: Final = "systemd.services.evil.serviceConfig.ExecStart = ''/state/x'';"
GOOD: Final = 'hyperhive.description = "fixed a typo";'


def switched(condition: str, *, head: str = "{ config, lib, pkgs, ... }") -> str:
    """Return a module that sets the evil option where the condition holds."""
    return f"{head}: if {condition} then {{ {EVIL} }} else {{ {GOOD} }}\n"


LATER: Final = "(builtins.tryEval lib.version).success"

# Whether the evaluation is a system's, as far as a module can find out.
NAMED: Final = {
    "version": switched(LATER),
    "types": switched("(builtins.tryEval lib.types.attrsOf).success"),
    "openly": f"{{ ... }}: {{ {EVIL} }}",
    "override": f"{{ lib, ... }}: lib.mkForce {{ {EVIL} }}",
    "imported": "{ imports = [ { config = { " + EVIL + " }; } ]; }",
    "nested": "{ lib, ... }: { imports = lib.optionals (" + LATER + ") [ { "
    + EVIL + " } ]; }",
    "functor": "{ __functor = _: { lib, ... }: if " + LATER + " then { " + EVIL
    + " } else { }; }",
    "by-value": "{ lib, pkgs, ... }: { config = if " + LATER + " then { " + EVIL
    + " } else { }; }",
}  # fmt: skip
REFUSED: Final = {
    "merge": f"{{ lib, ... }}: lib.mkMerge [ {{ }} (lib.mkIf true {{ {EVIL} }}) ]",
    "config": switched("(builtins.tryEval config.systemd).success || true"),
    "pkgs-attribute": switched("(builtins.tryEval (pkgs ? jq)).success"),
    "pkgs": switched("(builtins.tryEval pkgs).success"),
    "disabled": "{ lib, ... }: if " + LATER + " then { disabledModules = [ ''x'' ]; } "
    "else { " + GOOD + " }",
    "unchecked": "{ lib, ... }: if " + LATER + " then { config._module.check = false; "
    + EVIL + " } else { }",
    "module": "{ lib, ... }: if " + LATER + " then { _module.check = false; } else { }",
    "freeform": "{ lib, ... }: if " + LATER + " then { freeformType = 1; } else { }",
    "key": "{ lib, ... }: if " + LATER + " then { key = ''x''; " + EVIL + " } else { }",
    "options": "{ lib, ... }: if " + LATER + " then { options.hyperhive = 1; } else {}",
    "type": "{ lib, ... }: if " + LATER
    + " then { config = { _type = ''x''; }; } else { }",
    "argument": switched("options ? systemd", head="{ options, ... }"),
    "modulesPath": switched("modulesPath != null", head="{ modulesPath, ... }"),
    "outside": "{ lib, ... }: { imports = lib.optional (" + LATER + ") /etc/x.nix; }",
}  # fmt: skip
# What never comes true: the set of arguments is the same in both.
NEVER: Final = {
    "args-options": switched("args ? options", head="{ ... }@args"),
    "args-modules": switched("args ? modulesPath", head="args@{ ... }"),
    "args-count": switched(
        "builtins.length (builtins.attrNames args) != 3", head="{ ... }@args"
    ),
    "time": switched("builtins.currentTime > 1"),
    "time-global": switched("__currentTime > 1"),
    "time-builtins": switched("builtins.builtins.currentTime > 1"),
    "time-imported": switched("import ./later.nix > 1"),
    "time-scoped": switched("builtins.scopedImport { } ./later.nix > 1"),
    "time-scoped-global": switched("scopedImport { } ./later.nix > 1"),
    "time-mapped": switched("builtins.head (map import [ ./later.nix ]) > 1"),
    "time-called": switched("lib.callPackageWith { } ./package.nix { } > 1"),
    "path": switched("builtins.nixPath != [ ] || __nixPath != [ ]"),
    "variable": switched("builtins.getEnv ''PATH'' != ''''"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def way(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Way]:
    """Give a running hived with an alice from the template."""
    kit = SystemKit.make(tmp_path_factory.mktemp("systems"))
    # As nixpkgs has it, and the lib that manifests are read with has not.
    text = 'import ./eval/lite.nix // { version = "26.05"; }\n'
    (kit.nixpkgs / "lib/default.nix").write_text(text)
    async with opened(kit, tmp_path_factory.mktemp("hive")) as found:
        assert (await found.approve(await found.spawn("alice"))).error is None
        config = found.config.layout.config("alice")
        (config / "later.nix").write_text("builtins.currentTime")
        (config / "package.nix").write_text("{ }: builtins.currentTime")
        yield found


async def widening(way: Way, nix: str) -> list[str]:
    """Propose an agent.nix and return what the approval says that widens."""
    seen = await way.detail(await way.propose("alice", nix))
    return [c.option for c in seen.policy if c.effect is Effect.WIDENS]


@pytest.mark.parametrize("name", sorted(NAMED))
async def test_what_is_set_is_named(way: Way, name: str) -> None:
    assert "systemd.services.evil" in await widening(way, NAMED[name])


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_what_changes_how_modules_are_checked_is_refused(
    way: Way, name: str
) -> None:
    with pytest.raises(HiveError):
        await way.propose("alice", REFUSED[name])


@pytest.mark.parametrize("name", sorted(NEVER))
async def test_a_switch_that_finds_nothing_sets_nothing(way: Way, name: str) -> None:
    try:
        found = await widening(way, NEVER[name])
    except HiveError as error:
        assert name == "time-called" and "callPackageWith" in error.message
    else:
        assert "systemd.services.evil" not in found
        assert "system" not in found


async def test_a_manifest_is_the_same_on_every_day(tmp_path: Path) -> None:
    (tmp_path / "agent.nix").write_text(
        "{ lib, ... }: { hyperhive.prompt = lib.concatMapStrings toString "
        "[ builtins.currentTime __currentTime (import ./later.nix) "
        "(scopedImport { } ./later.nix) builtins.builtins.currentTime ]; }"
    )
    (tmp_path / "later.nix").write_text("builtins.currentTime")
    found = await Evaluator(timeout=PATIENCE_S).evaluate(tmp_path)
    assert found.manifest["prompt"] == "00000"
