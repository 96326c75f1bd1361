"""The documents are right for NixOS users: every Nix snippet evaluates.

Snippets are blocks of Nix outside ``docs/agents.md`` and settings of
``services.hyperhive`` in running text. Options that are not the hive's (nginx, ACME,
sops, virtual machines) may have any value.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from checks.nix import outcome
from checks.nix.host import record
from pyglue import config as hive_config
from tools.generate_host_options import literal, read_options

pytestmark = pytest.mark.needs("nix")

ROOT: Final = outcome.ROOT
DOCS: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_FLAKE: Final = "outputs ="
_MODULE: Final = """\
{{ lib, pkgs, ... }}:
let
  any = lib.mkOption {{
    type = lib.types.attrsOf lib.types.anything;
    default = {{ }};
  }};
  inputs = {{
    nixpkgs = "/nix/store/11111111111111111111111111111111-source";
    hyperhive = {{
      outPath = "/nix/store/22222222222222222222222222222222-source";
      packages.x86_64-linux.default = {{
        type = "derivation";
        name = "hive";
        outPath = "/nix/store/33333333333333333333333333333333-hive";
      }};
    }};
  }};
in
{{
  options = {{
    nix.settings = any;
    nixpkgs.hostPlatform = lib.mkOption {{ type = lib.types.str; }};
    programs.git = any;
    security.acme = any;
    services.caddy = any;
    services.nginx = any;
    sops.secrets = lib.mkOption {{
      type = lib.types.attrsOf (
        lib.types.submodule (
          {{ name, ... }}:
          {{
            options.path = lib.mkOption {{ default = "/run/secrets/${{name}}"; }};
            options.restartUnits = lib.mkOption {{ }};
          }}
        )
      );
    }};
    virtualisation.vmVariantWithBootLoader = any;
  }};
  config.users.users.alice = {{
    uid = 1000;
    description = "Alice";
    group = "users";
  }};
  imports = [
    {modules}
  ];
}}
"""


def _blocks(page: Path) -> list[str]:
    found = re.findall(r"```nix\n(.*?)```", page.read_text(), re.DOTALL)
    return [block for block in found if not block.startswith("# ")]  # files of agents


def _modules(page: Path) -> list[str]:
    """Return the snippets of a page that a machine's configuration takes."""
    blocks = [block for block in _blocks(page) if _FLAKE not in block]
    blocks = [block.replace("/etc/hyperhive", str(ROOT)) for block in blocks]
    said = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    inline = re.findall(
        r"`((?:nix|nixpkgs|services|security|networking)\.[^`\n]+ = [^`\n;]+;?)`", said
    )
    blocks += [line.rstrip(";") + ";" for line in inline]
    return [one if one.lstrip().startswith("{") else f"{{ {one} }}" for one in blocks]


_PAGES: Final = [page for page in DOCS if _modules(page)]


def _evaluated(tmp_path: Path, *modules: str) -> dict[str, Any]:
    """Evaluate modules beside what every hive has to set."""
    (tmp_path / "hive.nix").write_text(_SMALLEST)
    file = tmp_path / "module.nix"
    file.write_text(_MODULE.format(modules="\n    ".join(f"({m})" for m in modules)))
    found = outcome.run(
        record.HERE / "evaluate.nix", ["--arg", "module", f"import {file}"]
    )
    assert "error" not in found, found["error"]
    return found


_NAMES: Final = {"secrets": "GITHUB_TOKEN"}
"""What is named otherwise than agents are."""
_SMALLEST: Final = '{ services.hyperhive.apiKeyFile = "/run/secrets/key"; }'


def test_there_are_snippets_where_they_are_looked_for() -> None:
    counted = {page.name: len(_modules(page)) for page in _PAGES}
    assert counted["install.md"] >= 6
    assert counted["operator-guide.md"] >= 2


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_what_a_page_tells_to_write_is_right(tmp_path: Path, page: Path) -> None:
    for module in _modules(page):
        needed = [] if re.search(r"apiKeyFile =|hive\.nix", module) else [_SMALLEST]
        found = _evaluated(tmp_path, module, *needed)
        assert (found["failed"], found["warnings"]) == ([], []), module
        if "enable = false" in module:
            continue
        file = tmp_path / "config.json"
        file.write_text(json.dumps(found["settings"]))
        assert hive_config.load(file).backend == "nixos-container"


def test_a_snippet_that_is_wrong_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="unknown option"):
        _evaluated(tmp_path, "{ services.hyperhive.nonsense = 1; }", _SMALLEST)
    found = _evaluated(tmp_path, "{ services.hyperhive.healthTimeout = 1; }", _SMALLEST)
    assert len(found["failed"]) == 1


@pytest.mark.parametrize("named", [False, True], ids=["whole", "below a name"])
def test_the_example_of_every_option_is_one(tmp_path: Path, named: bool) -> None:
    """All together, but for credentials, of which a hive has one.

    What is below a name is apart: the example of the whole set gives values too.
    """
    settings = {
        option["name"]: literal(option["example"])
        for option in read_options()
        if ("<name>" in option["name"]) == named
        and not option["name"].endswith(("oauthTokenFile", "authTokenFile"))
    }
    assert len(settings) > (5 if named else 70)
    (tmp_path / "agents/alice").mkdir(parents=True)
    (tmp_path / "every-container.nix").write_text("{ }")
    modules = [_SMALLEST] if named else []
    for name, value in settings.items():
        chosen = _NAMES.get(name.split(".")[2], "alice")
        modules.append(f"{{ {name.replace('<name>', chosen)} = {value}; }}")
    found = _evaluated(tmp_path, *modules)
    assert found["failed"] == []
    if not named:
        # Of what an example shows because it is possible.
        assert any('privateUsers is not "pick"' in text for text in found["warnings"])


@pytest.mark.parametrize("of", ["", "accounts.<name>."])
@pytest.mark.parametrize("name", ["oauthTokenFile", "authTokenFile"])
def test_the_example_of_another_credential_is_one(
    tmp_path: Path, name: str, of: str
) -> None:
    whole = f"services.hyperhive.{of}{name}"
    [option] = [one for one in read_options() if one["name"] == whole]
    value = literal(option["example"])
    found = _evaluated(
        tmp_path, f"{{ {whole.replace('<name>', 'research')} = {value}; }}"
    )
    assert (found["failed"], found["warnings"]) == ([], [])


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_flake_on_a_page_makes_the_machine_it_names(
    tmp_path: Path, page: Path
) -> None:
    for block in _blocks(page):
        if _FLAKE not in block:
            continue
        file = tmp_path / "flake.nix"
        file.write_text(block)
        expression = f"""
          {{ lib }}:
          let
            flake = import {file};
            made = flake.outputs {{
              nixpkgs.lib.nixosSystem = given: given;
              hyperhive.nixosModules.default = "module";
            }};
          in
          {{
            names = builtins.attrNames made.nixosConfigurations;
            modules = map toString made.nixosConfigurations.hive.modules;
            follows = flake.inputs.hyperhive.inputs.nixpkgs.follows;
            nixpkgs = flake.inputs ? nixpkgs.url;
          }}"""
        found = outcome.run(Path("--expr"), [expression])
        wanted = ["module", f"{tmp_path}/configuration.nix", f"{tmp_path}/hive.nix"]
        assert found == {
            "names": ["hive"],
            "modules": wanted,
            "follows": "nixpkgs",
            "nixpkgs": True,
        }
