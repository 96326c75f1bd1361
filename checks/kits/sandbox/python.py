"""Run Python inside a sandbox and read its findings, for tests of isolation."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from checks.kits.patience import PATIENCE_S
from pyglue.process import Completed, RunAs, run, run_sync
from pyglue.sandbox import Bind, SandboxSpec, prepare, python_runtime, reach

CHECKOUT: Final = Path(__file__).resolve().parents[3]
AGENT: Final = RunAs(62001, 62001) if os.geteuid() == 0 else None
"""Who runs in the sandbox: an unprivileged user, whoever runs the tests."""


def give(path: Path) -> Path:
    """Make a directory that belongs to the agent."""
    path.mkdir(parents=True)
    if AGENT is not None:
        os.chown(path, AGENT.uid, AGENT.gid)
    return path


def run_inside(code: str, *binds: Bind, **options: Any) -> Completed:
    """Run ``code`` with our interpreter inside; ``options`` are SandboxSpec's."""
    runtime = python_runtime()
    env: Mapping[str, str] = {**runtime.env, **options.pop("env", {})}
    spec = SandboxSpec(binds=(*runtime.binds, *binds), env=env, **options)
    with prepare(spec, [*runtime.argv, "-c", code], run_as=AGENT) as prepared:
        return run_sync(
            prepared.argv,
            env={},
            timeout=PATIENCE_S,
            run_as=AGENT,
            pass_fds=prepared.pass_fds,
            wrapper=prepared.wrapper,
        )


def inside(expression: str, *binds: Bind, **options: Any) -> Any:
    """Return the value of a Python expression, evaluated inside."""
    done = run_inside(_EVALUATE.format(repr(expression)), *binds, **options)
    assert done.code == 0, done.stderr.decode()
    return json.loads(done.stdout)


async def suite_as_user(suite: Path, home: Path, *more: Path) -> Completed:
    """Run files of tests as the ordinary user 62005, who owns ``home``."""
    suites = [str(path) for path in (suite, *more)]
    pytest = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *suites)
    options = ("--basetemp", str(home / "t"), "-o", "addopts=--import-mode=importlib")
    plugins = ("-p", "pytest_asyncio.plugin")  # to load all takes seconds
    kept = {name: os.environ[name] for name in ("PATH",)}
    run_as = RunAs(62005, 62005)
    return await run(
        [*pytest, *plugins, *options],
        env={
            **kept,
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        cwd=CHECKOUT,
        timeout=PATIENCE_S,
        run_as=run_as,
        wrapper=reach(
            {CHECKOUT: None, Path(sys.prefix): None, Path(sys.base_prefix): None},
            run_as,
        ),
    )


_EVALUATE: Final = """
import ctypes, errno, json, os, pathlib, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)

def syscall(*args):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno() if libc.syscall(
        *map(ctypes.c_long, args)) == -1 else 0, "done")

def attempt(function, *args, **options):
    try:
        function(*args, **options)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def status():
    text = pathlib.Path("/proc/self/status").read_text()
    return dict(line.split(":\\t", 1) for line in text.splitlines() if ":\\t" in line)

def shell(command):
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    return done.stdout + done.stderr

print(json.dumps(eval({}), default=str))
"""
