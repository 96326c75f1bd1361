"""What a group of tests needs of this machine, and what is said when it is missing.

``@pytest.mark.needs("bwrap", "nix")`` skips where a part is missing; the end of the
run lists each group that was NOT RUN with the reason. With ``HIVE_TEST_REQUIRE=all``
(set by ``.ci/run``) a test that cannot run fails instead, however it was skipped.
"""

import compileall
import functools
import gc
import importlib.util
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, settings

from checks.kits.mcp.raw import NODE_SDK, OLDER_SDK
from checks.kits.net.ports import resolve_localhost
from checks.kits.nix import releases
from checks.kits.suite import ended, pins
from checks.kits.suite.schedule import (
    Seconds,
    group_of,
    ordered,
    recorded,
    unit_of,
    workers,
)
from checks.kits.web.promtool import promtool
from checks.systemd.machine import why_not
from pyglue.process import RunAs
from pyglue.sandbox import Support, probe

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

resolve_localhost()  # the dashboard's own links are opened as they are printed

_CHECKS: Final = Path(__file__).parent
_ALL: Final = os.environ.get("HIVE_TEST_REQUIRE") == "all"

# They test the machine that they run in: make test-vm boots one for them.
collect_ignore = [] if os.environ.get("HIVE_TEST_INSIDE") else ["vm"]


# What is compiled is kept, whatever the machine says: pytest would rewrite 400 files
# of tests at every run, and in every worker.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _program(name: str, package: str) -> str | None:
    if shutil.which(name):
        return None
    return f"{name} is not installed (Debian: apt install {package})"


def _bubblewrap() -> str | None:
    found = probe(RunAs(65534, 65534) if os.geteuid() == 0 else None)
    return None if found.support is Support.BWRAP else found.reason


def _chromium() -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed (make test installs it)"
    return _program("chromium", "chromium")


def _shtab() -> str | None:
    found = importlib.util.find_spec("shtab")
    return None if found else "shtab is not installed (make test installs it)"


def _promtool() -> str | None:
    return None if promtool() else _program("promtool", "prometheus")


def _root() -> str | None:
    return None if os.geteuid() == 0 else "needs root: sudo make test"


def _pip() -> str | None:
    """Look for the pip of /usr, which is what a sandbox has."""
    if Path("/usr/bin/pip3").exists():
        return None
    return "pip is not installed (Debian: apt install python3-pip)"


def _mcp_clients() -> str | None:
    if OLDER_SDK.is_dir() and NODE_SDK.is_dir():
        return _program("node", "nodejs")
    return "the clients of MCP are not installed (make test installs them)"


_NEEDS: Final[dict[str, Callable[[], str | None]]] = {
    "bwrap": _bubblewrap,
    "cc": lambda: _program("cc", "gcc"),
    "chromium": _chromium,
    "mcp-clients": _mcp_clients,
    "age": lambda: _program("age", "age"),
    "fish": lambda: _program("fish", "fish"),
    "mandoc": lambda: _program("mandoc", "mandoc"),
    "shtab": _shtab,
    "zsh": lambda: _program("zsh", "zsh"),
    "git": lambda: _program("git", "git"),
    "nix": lambda: _program("nix-instantiate", "nix-bin"),
    "nspawn": why_not,
    "npm": lambda: _program("npm", "npm"),
    "pip": _pip,
    "openssl": lambda: _program("openssl", "openssl"),
    "promtool": _promtool,
    "root": _root,
    "systemd-analyze": lambda: _program("systemd-analyze", "systemd"),
}


@functools.cache
def _missing(need: str) -> str | None:
    """Return why ``need`` is not met here, None if it is."""
    return _NEEDS[need]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--record-seconds``, ``--pins`` and ``--nix``."""
    pins.add_option(parser)
    releases.add_option(parser)
    parser.addoption(
        "--record-seconds",
        action="store_true",
        help="record how long each file took, for the order of later runs",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Start anew with other versions, where those are asked for."""
    pins.start_anew(config)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and look at the clock where the results come together.

    A shell that starts us with ``&`` lets us ignore Ctrl-C, and so all that we start:
    what a test interrupts would go on.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    releases.use(config)
    # CI takes the same examples at every run: a new one must not stop another's change.
    settings.register_profile(
        "hyperhive",
        deadline=None,
        derandomize=_ALL,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("hyperhive")
    if not hasattr(config, "workerinput"):
        # Agents and fenced children see the package read-only: each would compile
        # what has changed anew.
        compileall.compile_dir(_CHECKS.parent / "pyglue", quiet=2)
        record = config.getoption("--record-seconds", False)
        config.pluginmanager.register(Seconds(record=record))
        config.pluginmanager.register(ended)
    names = ", ".join(_NEEDS)
    config.addinivalue_line("markers", f"needs(*what): parts of the machine: {names}")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the version of Nix that was asked for."""
    return releases.header(config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs are not met."""
    for marker in item.iter_markers("needs"):
        for need in marker.args:
            if need not in _NEEDS:
                pytest.fail(f"unknown need {need!r}; checks/conftest.py has the list")
            reason = _missing(need)
            if reason is not None:
                pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[
    None, pytest.TestReport, pytest.TestReport
]:
    """Turn every skip into a failure where all must run."""
    report = yield
    if _ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"It must run here, but: {_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not run, by group and reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    groups = Counter((group_of(report.nodeid), _reason(report)) for report in skipped)
    if not groups:
        return
    terminalreporter.section("NOT RUN")
    for (group, reason), count in sorted(groups.items()):
        tests = "test" if count == 1 else "tests"
        terminalreporter.line(f"NOT RUN  {group:8} {count:3} {tests}: {reason}")


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector leave alone what is there as long as the run.

    It would look again and again at the objects of ten thousand tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first; the tests of a file stay in their order."""
    files = {item.path for item in items}  # the tests of a file have one path object
    if any(_CHECKS not in file.parents for file in files):
        return  # a suite beside ours, as the tests of this file have them
    units = ordered((item.nodeid for item in items), recorded())
    place = {unit: number for number, unit in enumerate(units)}
    items.sort(key=lambda item: place[unit_of(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Say what ``-n auto`` is; None where xdist's own variable has a number."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return workers(len(os.sched_getaffinity(0)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Any
) -> "LoadScopeScheduling":
    """Hand out files, and undivided groups, in the order of ``items``."""
    from xdist.scheduler import LoadScopeScheduling

    class Schedule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return Schedule(config, log)
