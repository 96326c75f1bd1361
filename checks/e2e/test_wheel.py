"""The wheel and the sdist work when installed, without a checkout."""

import asyncio
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from checks.kits.host.hive import let_pass
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from pyglue.web.pages import vendor

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("agents", "manual", "modules", "prompts", "web")
SOURCES = (*PARTS, "pyglue", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md")


def done(*command: str | Path, cwd: Path) -> str:
    ended = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def backend(cwd: Path, target: Path, kind: str) -> Path:
    """Build with setuptools as pip does; return the file."""
    target.mkdir()
    code = f"import sys, setuptools.build_meta as b; b.build_{kind}(sys.argv[1])"
    done(sys.executable, "-c", code, target, cwd=cwd)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the sdist of this checkout."""
    room = tmp_path_factory.mktemp("wheel")
    source = room / "source"
    source.mkdir()
    for name in (*SOURCES, "LICENSE"):
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("node_modules", "__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
            if name == "web":
                (source / "web/node_modules").symlink_to(ROOT / "web/node_modules")
        else:
            shutil.copy(ROOT / name, source / name)
    sdist = backend(source, room / "sdist", "sdist")
    shutil.unpack_archive(sdist, room / "unpacked")
    (unpacked,) = (room / "unpacked").iterdir()
    return backend(unpacked, room / "wheel", "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The programs of a fresh environment with the wheel; the dependencies are ours."""
    venv = wheel.parent / "venv"
    done(sys.executable, "-m", "venv", "--without-pip", venv, cwd=wheel.parent)
    done(
        *(sys.executable, "-m", "pip", "--python", venv / "bin" / "python"),
        *("install", "--no-deps", "--no-index", wheel),
        cwd=wheel.parent,
    )
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


def test_the_wheel_holds_all_that_is_read(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (n for n in names if n.endswith(".dist-info/METADATA"))
        assert b"License-Expression: MIT" in archive.read(metadata)
    listed = subprocess.check_output(["git", "ls-files", *PARTS], cwd=ROOT, text=True)
    for name in listed.splitlines():
        assert f"pyglue/share/{name}" in names
    modules = "pyglue/share/web/node_modules/"
    libraries = {name.removeprefix(modules) for name in names if modules in name}
    assert libraries == set(vendor.libraries(ROOT / "web").values())
    assert "pyglue/demo/scenario.json" in names
    pages = {Path(n).name for n in names if ".data/data/share/man/" in n}
    assert pages == {page.name for page in (ROOT / "manual" / "man").iterdir()}


def test_no_wheel_is_built_without_the_libraries_of_pages(tmp_path: Path) -> None:
    for name in (*SOURCES, "LICENSE"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "web").unlink()
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=ignored)
    refused = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", "-d", "built"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "is missing: run `npm ci --ignore-scripts --omit=dev` in" in refused.stderr


@pytest.mark.needs("nix")
def test_it_evaluates_an_agent(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "agent.nix").write_text('{ hyperhive.description = "d"; }\n')
    tmp_path.chmod(0o755)
    out = done(installed / "hive", "manifest", tmp_path, cwd=tmp_path)
    assert '"description"' in out
    assert "--port" in done(installed / "hive", "run", "--help", cwd=tmp_path)


@pytest.mark.needs("nix", "git", "bwrap")
async def test_it_starts_a_hive(installed: Path, tmp_path: Path) -> None:
    for passage in (installed.parent.parent, tmp_path):
        let_pass(passage)
    process = await asyncio.create_subprocess_exec(
        *(installed / "hive", "--state", tmp_path / "state"),
        *("run", "--port", str(free_port())),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while b"Press Ctrl-C" not in (line := await process.stdout.readline()):
            assert line
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 0
