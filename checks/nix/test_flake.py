"""`nix flake check` passes, offline: nixpkgs is replaced by a small stand-in.

It runs in a copy of the files that git would commit, with a store of its own, so
that it needs neither root nor the machine's store.
"""

import base64
import filecmp
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.nix.evaluator import BARE, evaluator
from checks.kits.nix.standin import make_nixpkgs
from pyglue.cli.commands.registry import COMMANDS
from pyglue.config import load
from pyglue.manifest import schema
from pyglue.web.pages import vendor

pytestmark = pytest.mark.needs("nix")

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PARTS: Final = (
    *("flake.nix", "flake.lock", "package.nix", "pyproject.toml", "README.md"),
    *("LICENSE", "modules", "agents", "manual", "prompts", "pyglue", "web", "nix"),
    *("templates", "checks/nix"),
)
FEATURES: Final = ("--extra-experimental-features", "nix-command flakes")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a copy of what the flake reads, to change."""
    return copied(tmp_path / "tree")


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy that nobody changes."""
    return copied(tmp_path_factory.mktemp("flake") / "tree")


def copied(target: Path) -> Path:
    """Copy what the flake reads into a directory that no git knows."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(source, target / part, ignore=ignored)
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(source, target / part)
    return target


def flake_check(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the flake in `tree` with a private store and nothing to download."""
    return run(
        tree,
        *("nix", *FEATURES, "flake", "check", "--no-write-lock-file", *NO_BUILDS),
        *("--override-input", "nixpkgs", "path:checks/nix/nixpkgs-standin", "."),
    )


NO_BUILDS: Final = ("--option", "allow-import-from-derivation", "false")
"""What machines may forbid: an evaluation that builds."""


def run(
    tree: Path, *argv: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of nix's in `tree`, with a private store."""
    home = tree.parent
    settings = ["sandbox = false", "build-users-group =", "substituters ="]
    return subprocess.run(
        argv,
        cwd=cwd or tree,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "NIX_STORE_DIR": str(home / "store"),
            "NIX_STATE_DIR": str(home / "var"),
            "NIX_LOG_DIR": str(home / "log"),
            "NIX_CONF_DIR": str(home / "conf"),
            "NIX_CONFIG": "\n".join(settings),
        },
    )


def test_flake_check_passes_offline(same: Path) -> None:
    done = flake_check(same)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "modules/agent/options/session.nix",
            '"haiku"',
            '"opus"',
            "schema.json is out",
        ),
        ("modules/eval/definitions.nix", 'hyperhive" ]', 'hyper" ]', "corpus: good-"),
        ("agents/alice/agent.nix", "hyperhive = {", "hyperhive = ", "syntax error"),
        ("agents/alice/agent.nix", "model =", "modle =", "hyperhive.modle"),
    ],
)
def test_flake_check_fails_when(
    tree: Path, file: str, old: str, new: str, said: str
) -> None:
    path = tree / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    done = flake_check(tree)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_lock_pins_nixpkgs_to_a_release() -> None:
    lock = json.loads((ROOT / "flake.lock").read_text())
    nixpkgs = lock["nodes"]["nixpkgs"]
    assert nixpkgs["original"]["ref"] in (ROOT / "flake.nix").read_text()
    assert len(nixpkgs["locked"]["rev"]) == 40
    assert nixpkgs["locked"]["narHash"].startswith("sha256-")


# --- what nothing here can build ---------------------------------------------------


def facts(tree: Path, what: str, *arguments: str) -> Any:
    """Evaluate the flake with names in the place of packages."""
    file = "checks/nix/package-facts.nix"
    done = run(
        tree,
        *("nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode"),
        *(file, "-A", what, *NO_BUILDS, *arguments),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_nix_file_parses() -> None:
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.nix",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [name for name in listed.stdout.split("\0") if name]
    good = [name for name in files if "/cases/bad-" not in name]
    assert "flake.nix" in good
    parsed = subprocess.run(
        ["nix-instantiate", "--parse", *good],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert parsed.returncode == 0, parsed.stderr


def test_the_package_has_the_dependencies_of_pyproject(same: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split("[^a-z0-9-]", line)[0] for line in project["dependencies"]}
    assert set(facts(same, "dependencies")) == wanted
    sdk = facts(same, "sdk")
    assert f"claude-agent-sdk=={sdk['version']}" in project["dependencies"]
    assert sdk["hash"].startswith("sha256-")
    assert sorted(facts(same, "programs")) == sorted(project["scripts"])
    assert facts(same, "version") == project["version"]
    meta = facts(same, "meta")
    assert meta["mainProgram"] in project["scripts"]
    assert (meta["description"], meta["license"]) == (project["description"], "mit")
    assert meta["longDescription"] and meta["maintainers"] == []
    assert "modules/host/hyperhive.nix.5 $out/share/man/man5/" in facts(same, "script")


def test_the_package_is_made_from_what_is_installed_and_nothing_else(
    tree: Path,
) -> None:
    for stray in (
        ".hive/hive.db",
        "web/node_modules/uplot/x.js",
        "pyglue/__pycache__/x.pyc",
        "result",
    ):
        (tree / stray).parent.mkdir(parents=True, exist_ok=True)
        (tree / stray).write_text("not to be copied")
    source = Path(facts(tree, "source"))
    assert {path.name for path in source.iterdir()} == {
        *("LICENSE", "README.md", "agents", "manual", "modules", "prompts", "pyglue"),
        *("pyproject.toml", "web"),
    }
    assert not list(source.rglob("__pycache__"))
    assert not (source / "web/node_modules").exists()
    assert (source / "pyglue/host/main.py").read_bytes() == (
        ROOT / "pyglue/host/main.py"
    ).read_bytes()


def test_the_package_brings_the_libraries_of_pages(same: Path, tmp_path: Path) -> None:
    modules, wanted = ROOT / "web/node_modules", tmp_path / "wanted"
    names = vendor.libraries(ROOT / "web").values()
    for name in names:
        (wanted / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(modules / name, wanted / name)
    digest = run(tmp_path, "nix-hash", "--type", "sha256", str(wanted)).stdout
    encoded = base64.b64encode(bytes.fromhex(digest.strip())).decode()
    found = facts(same, "libraries")
    assert found["hash"] == f"sha256-{encoded}"
    assert "cp -r /store/hyperhive-web-libraries" in facts(same, "beforeBuild")

    # The builder, with an npm that has installed them already.
    npm, work = tmp_path / "bin" / "npm", tmp_path / "work"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\n[ "$1" = ci ] && ln -s {modules} node_modules\n')
    npm.chmod(0o755)
    work.mkdir()
    given = {"out": f"{tmp_path}/out", "TMPDIR": str(tmp_path)}
    path = {"PATH": f"{npm.parent}:{os.environ['PATH']}"}
    subprocess.run(
        ["bash", "-euc", found["script"]], cwd=work, env=given | path, check=True
    )
    compared = filecmp.dircmp(tmp_path / "out", wanted)
    assert not compared.left_only and not compared.right_only
    made = run(tmp_path, "nix-hash", "--type", "sha256", f"{tmp_path}/out").stdout
    assert made == digest
    assert json.loads((work / "package-lock.json").read_text())["packages"]


def test_imports_named_in_the_package_exist(same: Path) -> None:
    for module in facts(same, "imports"):
        assert importlib.util.find_spec(module) is not None, module


def test_the_bundled_cli_is_where_the_harness_looks(same: Path) -> None:
    sdk = "lib/site-packages/claude_agent_sdk"
    assert f"{sdk}/_bundled" in facts(same, "bundled")
    link = "ln -s /store/claude-code/bin/claude $bundled/claude"
    assert link in facts(same, "bundled")
    assert link not in facts(same, "free")


def test_every_output_of_the_flake_is_wired(same: Path) -> None:
    version = facts(same, "version")
    package = dict.fromkeys(("default", "hive", "bundled"), f"hyperhive-{version}")
    systems = ("x86_64-linux", "aarch64-linux")
    assert facts(same, "packages") == dict.fromkeys(systems, package)
    assert facts(same, "shells") == {key: {"default": "shell"} for key in systems}
    assert facts(same, "apps")["program"].endswith("/bin/hive")
    assert facts(same, "apps")["meta"]["description"]
    assert facts(same, "sameApp")
    assert facts(same, "formatter") == "nixfmt-tree"
    assert facts(same, "overlay") == f"hyperhive-{version}"
    assert {"agents", "corpus", "package", "parse", "schema", "virtual-machine"} <= {
        *facts(same, "checks")
    }
    assert facts(same, "modules") == ["agent", "default", "hyperhive"]
    assert facts(same, "host") == ["framework", "nixpkgs", "revision"]
    assert facts(same, "revisions") == [
        *("0123", "0123-dirty", "20260101000000", "unknown"),
    ]
    assert len(facts(same, "example")) == 3
    assert {"git", "nix", "ruff"} <= {*facts(same, "shell")}
    templates = facts(same, "templates")
    assert templates["agent"]["path"] == ["agent.nix"]
    # Beside a machine's own configuration.nix, which it must not clash with.
    assert templates["default"]["path"] == ["flake.nix", "hive.nix"]


def test_the_script_of_the_virtual_machine_is_python(same: Path) -> None:
    script = facts(same, "machine")
    compile(script, "testScript", "exec")
    named = set(re.findall(r"hive (?:[a-z]+)|(?<=hive\(\")[a-z]+", script))
    known = {command.name for command in COMMANDS} | {"logs"}
    assert {name.removeprefix("hive ") for name in named} <= known


def test_the_virtual_machine_has_the_systems_of_its_agents(
    same: Path, tmp_path: Path
) -> None:
    """Evaluated where no evaluation may build."""
    nixpkgs = make_nixpkgs(tmp_path / "nixpkgs")
    found = facts(same, "onMachine", "--argstr", "standin", str(nixpkgs))
    assert len({*found}) == 2
    assert all(drv.endswith(".drv") for drv in found)


def test_the_template_of_a_machine_has_a_hive(same: Path, tmp_path: Path) -> None:
    found = facts(same, "template")
    assert (found["failed"], found["warnings"]) == ([], [])
    file = tmp_path / "config.json"
    file.write_text(json.dumps(found["settings"]))
    config = load(file)
    assert config.backend == "nixos-container"
    assert config.nixos is not None
    assert config.nixos.revision == "0123456789abcdef0123456789abcdef01234567"
    assert [agent.name for agent in config.agents] == ["manager"]


@pytest.mark.parametrize("name", ["default", "agent"])
def test_a_template_is_copied_as_the_documents_say(
    same: Path, tmp_path: Path, name: str
) -> None:
    """Without a network: templates need nothing of the flake's inputs."""
    new = tmp_path / "etc/nixos"
    new.mkdir(parents=True)
    flake = f"path:{same}" if name == "default" else f"path:{same}#{name}"
    init = ("nix", *FEATURES, "flake", "init", "--template", flake)
    done = run(same, *init, cwd=new)
    assert done.returncode == 0, done.stderr
    source = same / "templates" / name
    assert {path.name: path.read_bytes() for path in new.iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }


def test_without_flakes_a_checkout_is_stored_without_its_state(tree: Path) -> None:
    """As `imports = [ /etc/hyperhive/modules/host ]` has it."""
    assert facts(tree, "checkout")["revision"] == "unknown"
    for stray in (".git/config", ".hive/relay/api-key", "web/node_modules/x.js"):
        (tree / stray).parent.mkdir(parents=True, exist_ok=True)
        (tree / stray).write_text("not to be copied")
    found = facts(tree, "checkout")
    assert found["revision"] == "of-.git"
    stored = Path(found["framework"])
    assert stored.name.endswith("-source")
    kept = {path.relative_to(stored).as_posix() for path in stored.rglob("*")}
    assert {"package.nix", "modules/hive/system.nix", "web/package.json"} <= kept
    assert not [one for one in kept if one.startswith(".") or "node_modules" in one]


async def test_the_template_of_an_agent_is_one(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "templates/agent", tmp_path / "agent")
    found = await evaluator(BARE).evaluate(tmp_path / "agent")
    assert schema.validate(found.manifest)["network"] is False
    assert found.nixos_options == ("environment.systemPackages",)


def test_what_is_built_holds_every_file(tree: Path, tmp_path: Path) -> None:
    setup = "import setuptools; setuptools.setup()"
    made = run(tree, sys.executable, "-c", setup, "build", "--build-lib", "../built")
    assert made.returncode == 0, made.stderr
    wanted = [path for path in (tree / "pyglue").rglob("*") if path.is_file()]
    assert len(wanted) > 100
    for path in wanted:
        built = tmp_path / "built" / path.relative_to(tree)
        assert built.read_bytes() == path.read_bytes()
