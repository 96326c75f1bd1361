"""The dashboard's address: its secret name, its storage, where it must listen."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.web import app as web_kit
from checks.kits.web.app import hive_web
from checks.kits.web.hive import NAME
from pyglue import config as hive_config
from pyglue.cli.local.configure import LocalOptions
from pyglue.cli.local.launcher import LocalHive
from pyglue.config import HiveConfig, WebConfig, origin
from pyglue.demo import story
from pyglue.errors import HiveError
from pyglue.host.api.origin import dashboard


def hive(state: Path, **web: object) -> HiveConfig:
    return HiveConfig(
        state_dir=str(state),
        runtime_dir=str(state),
        web=WebConfig(**web),  # type: ignore[arg-type]
    )


def test_the_name_is_random_and_is_kept(tmp_path: Path) -> None:
    found = dashboard(hive(tmp_path, port=7001))
    name = found.removeprefix("http://").removesuffix(".localhost:7001")
    assert origin.is_name(name)
    assert dashboard(hive(tmp_path, port=7001)) == found
    assert dashboard(hive(tmp_path, port=7002)) == origin.named(name, 7002)
    (tmp_path / "other").mkdir()
    assert dashboard(hive(tmp_path / "other", port=7001)) != found


def test_only_hived_reads_the_name(tmp_path: Path) -> None:
    dashboard(hive(tmp_path))
    assert (tmp_path / "dashboard-name").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["dashboard-name"]


@pytest.mark.parametrize("text", ["", "localhost", "x" * 32, "a" * 31, "ä" * 16])
def test_a_file_without_a_name_is_made_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "dashboard-name").write_text(text)
    found = dashboard(hive(tmp_path))
    assert found == dashboard(hive(tmp_path)) != origin.named(text, 7000)


@pytest.mark.parametrize(
    ("web", "found"),
    [
        ({}, None),
        ({"external_url": "http://127.0.0.1:7000"}, None),
        ({"external_url": "http://localhost"}, None),
        ({"external_url": "http://me.localhost:7000"}, None),
        ({"external_url": "http://[::1]:7000"}, None),
        ({"external_url": "https://Hive.example:443/"}, "https://hive.example"),
        ({"external_url": "http://hive.example:80"}, "http://hive.example"),
        ({"external_url": "https://hive.example:444"}, "https://hive.example:444"),
        ({"host": "192.0.2.1", "port": 7001}, "http://192.0.2.1:7001"),
        ({"host": "2001:db8::1"}, "http://[2001:db8::1]:7000"),
    ],
)
def test_which_address_is_the_dashboards(web: dict[str, object], found: str) -> None:
    assert origin.configured(WebConfig(**web)) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("web", "found"),
    [
        ({}, ("127.0.0.1", "::1")),
        ({"host": "::1"}, ("::1", "127.0.0.1")),
        ({"host": "0.0.0.0", "external_url": "http://localhost"}, ("0.0.0.0", "::1")),  # noqa: S104
        ({"host": "::", "external_url": "http://localhost"}, ("::",)),
        ({"external_url": "https://hive.example"}, ("127.0.0.1",)),
        ({"host": "192.0.2.1"}, ("192.0.2.1",)),
    ],
)
def test_where_it_listens(web: dict[str, object], found: tuple[str, ...]) -> None:
    assert origin.listens_on(WebConfig(**web)) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_half_of_the_port_is_not_enough(tmp_path: Path, host: str) -> None:
    """Browsers try both addresses: a neighbour that has one would be the dashboard."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    port = free_port()
    with socket.create_server((host, port), family=family):
        asked = LocalOptions(
            state=tmp_path, port=port, api_key=None, script=story.PATH, agents=()
        )
        local = LocalHive(options=asked, say=lambda _text: None)
        with pytest.raises(HiveError, match=f"port {port} of {host}"):
            await local.start()
        await local.stop()
        file = tmp_path / "config.json"
        settings = web_kit.settings(tmp_path, WebConfig(port=port))
        file.write_bytes(hive_config.dump(settings))
        done = subprocess.run(
            [sys.executable, "-m", "pyglue.web.main", "--config", str(file)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 1


def test_both_addresses_are_held_and_no_argument_has_the_name(tmp_path: Path) -> None:
    port = free_port()
    with hive_web(tmp_path, port) as process:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with pytest.raises(OSError, match="in use"):
                socket.create_server((host, port), family=family)
        said = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert NAME not in said and "localhost" not in said
