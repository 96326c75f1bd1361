"""services.hyperhive against stand-ins for NixOS: config file, units, refusals.

With HIVE_NIXPKGS_LIB set to a nixpkgs' `lib` directory, the recorded answers are also
compared with that lib.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from checks.nix import outcome
from checks.nix.host import record, units
from checks.nix.host.scores import GOALS, measure
from checks.nix.test_corpus import lib_id, libs
from pyglue import config as hive_config
from pyglue import names
from pyglue.config import HiveConfig
from pyglue.limits import HEALTH_LEAST_S, PREFLIGHT_S, SERVER_START_S
from tools import generate_host_options

pytestmark = pytest.mark.needs("nix")

EXPECTED: Final[dict[str, Any]] = record.read_expected()
GOOD: Final = ("smallest", "everything", "tls", "ipv6", "behind-proxy")


@pytest.mark.parametrize("lib", libs(), ids=lib_id)
def test_every_case_comes_out_as_recorded(lib: Path | None) -> None:
    found = record.evaluate_all(lib)
    assert found.keys() == EXPECTED.keys()
    assert {n: found[n] for n in found if found[n] != EXPECTED[n]} == {}


def test_settings_are_added_to_what_options_write(tmp_path: Path) -> None:
    found = EXPECTED["settings"]["settings"]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(found))
    config = hive_config.load(file)
    assert (config.timeouts.stop_s, config.messages.inbox_max) == (10, 500)
    assert config.disk.reserve_mib == 512  # by mkForce
    assert (
        config.timeouts.health_s
        == EXPECTED["smallest"]["settings"]["timeouts"]["health_s"]
    )


def test_every_case_is_what_its_name_says() -> None:
    for name, case in EXPECTED.items():
        kind = name.partition("-")[0]
        assert ("error" in case) == (kind == "type"), name
        if kind != "type":
            assert len(case["failed"]) == (kind == "bad"), name
            assert len(case["warnings"]) == (kind == "warn"), name


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("bad-agent-name", "invalid agent name"),
        ("bad-agent-long", "1 to 9 lowercase letters"),
        ("bad-agent-dash", "not ending in a hyphen"),
        ("bad-agent-reserved", "reserved"),
        ("bad-agent-clash", "containers.h-alice"),
        ("bad-no-key", "apiKeyFile is not set"),
        ("bad-key-in-store", "apiKeyFile is in the Nix store"),
        ("bad-token-in-store", "authTokenFile is in the Nix store"),
        ("bad-account-name", "accounts.my account: invalid name"),
        ("bad-account-empty", "accounts.research: set exactly one of"),
        ("bad-account-two-files", "accounts.research: set exactly one of"),
        ("bad-account-in-store", "accounts.research has its credential in the Nix"),
        ("bad-account-url", "accounts.research.upstreamUrl must start with https://"),
        ("bad-account-default-twice", "this is the account of apiKeyFile"),
        ("bad-account-no-default", "there are several accounts: a, b"),
        ("bad-account-unknown-default", "is research, but there is no such account"),
        ("bad-model-alias", "models.GLM: invalid alias"),
        ("bad-model-reserved", "models.default: this alias has another meaning"),
        ("bad-model-id-alias", "models.b: another model has this alias as its id"),
        ("bad-model-twice", "models: a, b have the same id"),
        ("bad-two-credentials", "apiKeyFile, oauthTokenFile are all set"),
        ("bad-tls-key-in-store", "dashboard.tls.keyFile is in the Nix store"),
        ("bad-tls-cert-alone", "both certFile and keyFile"),
        ("bad-tls-key-alone", "both certFile and keyFile"),
        ("bad-tls-url", "Use https://"),
        ("bad-tls-nameless", "dashboard.tls needs a host name"),
        ("bad-tls-loopback", "dashboard.tls needs a host name"),
        ("bad-default-memory", "defaults.memoryMax (1025M) exceeds"),
        ("bad-default-cpu", "limits.cpuQuota (100)"),
        ("bad-default-cost", "defaults.costPerDay (1.5)"),
        ("bad-default-tokens", "limits.tokensPerDay (1)"),
        ("bad-default-turns", "limits.turnsPerHour (1)"),
        ("bad-ids", "must all differ"),
        ("bad-upstream", "must start with https://"),
        ("bad-upstream-lookalike", "must start with https://"),
        ("bad-no-nftables", "networking.nftables.enable = true"),
        ("bad-no-containers", "do not set boot.enableContainers to false"),
        ("bad-old-places", "system.stateVersion is 21.11"),
        ("bad-etc-read-only", "system.etc.overlay.mutable = true"),
        ("bad-state-hidden", "below /home"),
        ("bad-users-between", "a multiple of 65536"),
        ("bad-range-within", "contains 10.99.0.1/20: not an IPv4 range"),
        ("bad-range-number", "contains 10.300.0.0/16"),
        ("bad-range-small", "contains 10.231.0.0/31"),
        ("bad-in-container", "cannot run inside one"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do(case: str, says: str) -> None:
    assert says in EXPECTED[case]["failed"][0]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("warn-clear", "without TLS or a proxy"),
        ("warn-clear-url", "to every other port of that host"),
        ("warn-users", 'is not "pick"'),
        ("warn-firewall", "openFirewall opens a port"),
    ],
)
def test_what_is_allowed_but_risky_is_warned_of(case: str, says: str) -> None:
    assert says in EXPECTED[case]["warnings"][0]


def test_names_are_judged_as_in_python() -> None:
    text = (outcome.ROOT / "modules/host/checks.nix").read_text()
    block = text.partition("reserved = [")[2].partition("]")[0]
    listed = set(re.findall(r'"([a-z]+)"', block))
    assert listed == set(names.RESERVED) - {names.MANAGER}


def load(tmp_path: Path, case: str) -> HiveConfig:
    """Return what the daemons read of the file that a case generates."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(EXPECTED[case]["settings"]))
    return hive_config.load(file)


@pytest.mark.parametrize("case", GOOD)
def test_the_daemons_read_the_generated_file(tmp_path: Path, case: str) -> None:
    assert load(tmp_path, case).backend == "nixos-container"


def test_the_generated_file_says_what_the_options_say(tmp_path: Path) -> None:
    config = load(tmp_path, "everything")
    assert config.operators_gid == 57000
    assert config.ids is not None and config.ids.agent == 57001
    assert config.web.external_url == "https://hive.example.org"
    assert config.web.trusted_proxies == ("192.0.2.1", "2001:db8::1")
    assert not config.web.terminal and not config.web.agent_ports
    assert config.limits.memory_max == "2G" and config.limits.network
    assert config.defaults.cost_per_day_usd == 2.5
    assert config.timeouts.health_s == 180
    assert config.timeouts.approval_expires_s == 3 * 86400
    assert config.retention.stats_days == 3
    sources = {agent.name: agent.source for agent in config.agents}
    assert sources.keys() == {"alice", "bob", "manager"}
    assert sources["bob"] is None and "-alice" in str(sources["alice"])
    assert config.nixos is not None
    assert config.nixos.network_ranges == ("10.99.0.0/20", "10.98.0.0/20")
    assert config.nixos.build_s == 600


def test_nothing_of_the_configuration_is_lost(tmp_path: Path) -> None:
    """The module writes every field but these, which a host has no say in."""
    left = {"timeouts.stop_s", "timeouts.evaluate_s", "nixos.build_sandbox", "web.run"}
    left |= {"ids.agents", "ids.group"}  # of a hive that root starts by hand
    left |= {"egress.authorities"}  # for tests, whose hosts are on loopback
    written = set(paths(EXPECTED["everything"]["settings"]))
    config = json.loads(hive_config.dump(load(tmp_path, "everything")))
    fields = {path for path in paths(config) if path.split(".")[0] != "messages"}
    assert fields - written == left


def paths(value: dict[str, Any], above: str = "") -> list[str]:
    """Return the dotted paths of what is no object."""
    found = []
    for name, inner in value.items():
        here = f"{above}{name}"
        if isinstance(inner, dict):
            found += paths(inner, f"{here}.")
        else:
            found.append(here)
    return found


def test_systemd_holds_the_dashboards_port_while_it_restarts() -> None:
    """On loopback both addresses: browsers try both for the dashboard's name."""
    for case, wanted in (
        ("smallest", ["127.0.0.1:7000", "[::1]:7000"]),
        ("no-ipv6", ["127.0.0.1:7000"]),
        ("everything", ["192.0.2.10:443"]),
    ):
        listener = EXPECTED[case]["sockets"]["hive-web"]
        assert listener["socketConfig"]["ListenStream"] == wanted
        assert listener["wantedBy"] == ["sockets.target"]
        service = EXPECTED[case]["services"]["hive-web"]
        assert "hive-web.socket" in service["requires"]
        assert service["serviceConfig"]["CapabilityBoundingSet"] == ""
    fence = EXPECTED["smallest"]["sockets"]["hive-web"]["socketConfig"]
    assert fence["IPAddressDeny"] == "any" and fence["IPAddressAllow"] == "localhost"


def test_no_agent_is_lost_that_is_always_there(tmp_path: Path) -> None:
    assert [agent.name for agent in load(tmp_path, "smallest").agents] == ["manager"]


def test_secrets_go_to_one_unit_each_and_into_no_file() -> None:
    case = EXPECTED["everything"]
    assert "/run/secrets" not in json.dumps(case["settings"])
    services = case["services"]
    credentials = {
        n: s["serviceConfig"].get("LoadCredential") for n, s in services.items()
    }
    assert credentials["hive-relay"] == ["api-key:/run/secrets/anthropic-api-key"]
    assert credentials["hived"] == ["secret-HOOK_SECRET:/run/secrets/hook-secret"]
    assert [line.partition(":")[0] for line in credentials["hive-web"]] == [
        "tls-cert",
        "tls-key",
    ]
    assert (
        EXPECTED["smallest"]["services"]["hive-web"]["serviceConfig"]["LoadCredential"]
        == []
    )


def test_only_hived_is_root_and_it_has_no_network() -> None:
    services = EXPECTED["smallest"]["services"]
    assert "User" not in services["hived"]["serviceConfig"]
    assert services["hived"]["serviceConfig"]["PrivateNetwork"] is True
    for name in ("hive-web", "hive-relay"):
        settings = services[name]["serviceConfig"]
        assert settings["User"] == name
        assert settings["CapabilityBoundingSet"] == ""
    assert (
        "AF_INET" not in services["hived"]["serviceConfig"]["RestrictAddressFamilies"]
    )


def test_a_restart_keeps_containers_and_their_sockets() -> None:
    settings = EXPECTED["smallest"]["services"]["hived"]["serviceConfig"]
    assert settings["RuntimeDirectoryPreserve"] is True
    assert settings["KillMode"] == "mixed"
    assert settings["Type"] == "notify" and settings["WatchdogSec"] > 0


def test_what_agents_write_is_mounted_without_devices_and_setuid() -> None:
    mounts = EXPECTED["everything"]["mounts"]
    assert {mount["options"] for mount in mounts} == {"bind,nosuid,nodev"}
    own = ["/srv/hive/agents", "/srv/hive/shared"]
    assert [mount["what"] for mount in mounts[:2]] == own
    assert [mount["where"] for mount in mounts[:2]] == own
    hived = EXPECTED["everything"]["services"]["hived"]
    assert hived["unitConfig"]["RequiresMountsFor"] == own


def test_a_workspace_is_mounted_where_only_root_finds_it_and_no_link_is_followed() -> (
    None
):
    case = EXPECTED["everything"]
    site = next(one for one in case["mounts"] if one["what"] == "/home/alice/site")
    assert site["where"] == case["settings"]["workspaces"]["site"]["mounted"]
    rules = case["tmpfiles"]["rules"]
    assert "d /run/hyperhive-workspaces 0700 root root -" in rules
    asserted = site["unitConfig"]["AssertPathIsSymbolicLink"]
    assert asserted == ["!/home", "!/home/alice", "!/home/alice/site"]
    assert site["wantedBy"] == ["hived.service"]


def test_the_directories() -> None:
    assert "d /srv/hive 0700 root root -" in EXPECTED["everything"]["tmpfiles"]["rules"]


def test_operators_and_hive_web_share_the_socket_and_nobody_else() -> None:
    users = EXPECTED["everything"]["users"]
    group = users["groups"]["hive-operators"]
    assert group == {"gid": 57000, "members": ["alice", "bob", "hive-web"]}
    assert users["users"]["hive-agent"]["uid"] == 57001
    assert EXPECTED["everything"]["packages"] == ["hyperhive"]


def test_without_agents_that_may_have_one_the_network_stays_as_it_is() -> None:
    networking = EXPECTED["smallest"]["networking"]
    assert not networking["nat"]["enable"] and not networking["nftables"]["enable"]
    assert networking["nftables"]["tables"] == {}
    assert EXPECTED["smallest"]["network"] == {"networks": {}}
    assert networking["firewall"]["allowedTCPPorts"] == []


def test_an_agent_with_a_network_reaches_the_internet_alone() -> None:
    networking = EXPECTED["everything"]["networking"]
    assert networking["nat"] == {
        "enable": True,
        "internalIPs": ["10.99.0.0/20", "10.98.0.0/20"],
    }
    rules = networking["nftables"]["tables"]["hyperhive"]["content"]
    for closed in ("10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "172.16.0.0/12"):
        assert closed in rules
    assert 'iifname "ve-h-*" ct state != { established, related } drop' in rules
    assert 'iifname "ve-h-*" oifname "ve-*" drop' in rules
    assert "meta nfproto ipv6 drop" in rules
    (left_alone,) = EXPECTED["everything"]["network"]["networks"].values()
    assert left_alone["matchConfig"] == {"Name": "ve-h-*"}
    assert left_alone["linkConfig"] == {"Unmanaged": True}


def test_the_option_reference_is_up_to_date() -> None:
    options = generate_host_options.read_options()
    assert generate_host_options.PAGE.read_text() == (
        generate_host_options.render(options)
    )


def test_every_option_says_what_it_is_and_shows_an_example() -> None:
    for option in generate_host_options.read_options():
        assert option["description"].rstrip().endswith((".", "`null`")), option["name"]
        assert option["example"], option["name"]
        assert option["default"] or option["name"].endswith(".name"), option["name"]


def test_drift_of_the_reference_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_host_options, "ROOT", tmp_path.parent)
    monkeypatch.setattr(generate_host_options, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(generate_host_options, "MANUAL", tmp_path / "page.5")
    monkeypatch.setattr(generate_host_options, "read_options", list)
    assert generate_host_options.main(["--check"]) == 1
    assert "make generate" in capsys.readouterr().out
    assert generate_host_options.main([]) == 0
    assert generate_host_options.main(["--check"]) == 0


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(
    ("name", "case"),
    [
        (name, case)
        for name in GOALS
        for case in [*GOOD, "booted"]
        if name in EXPECTED[case]["services"]
    ],
)
def test_a_unit_is_hardened(tmp_path: Path, case: str, name: str) -> None:
    found = measure(name, EXPECTED[case]["services"][name], tmp_path)
    print(f"{name} ({case}): exposure {found}, at most {GOALS[name]}")
    assert found <= GOALS[name]


@pytest.mark.needs("systemd-analyze")
def test_a_unit_without_a_fence_is_beyond_the_goal(tmp_path: Path) -> None:
    unit = EXPECTED["smallest"]["services"]["hive-web"]
    bare = {"ExecStart": unit["serviceConfig"]["ExecStart"]}
    assert measure("hive-web", {**unit, "serviceConfig": bare}, tmp_path) > 9


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", GOALS)
def test_systemd_knows_every_setting(tmp_path: Path, name: str) -> None:
    text = units.service(EXPECTED["everything"]["services"][name])
    file = tmp_path / f"{name}.service"
    file.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    about = [line for line in done.stderr.splitlines() if str(file) in line]
    assert about == []


@pytest.mark.needs("systemd-analyze")
def test_the_host_boots_without_an_ordering_cycle(tmp_path: Path) -> None:
    case = EXPECTED["everything"]
    names = [units.mount_name(mount) for mount in case["mounts"]]
    for name, mount in zip(names, case["mounts"], strict=True):
        (tmp_path / name).write_text(units.mount(mount))
    services = [service for service in GOALS if service in case["services"]]
    for service in services:
        text = units.service(case["services"][service])
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text)
        (tmp_path / f"{service}.service").write_text(text)
    done = subprocess.run(
        [
            *("systemd-analyze", "verify", "--man=no"),
            *(str(tmp_path / f"{service}.service") for service in services),
        ],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr.splitlines()
    assert [line for line in said if "cycle" in line] == []
    assert [line for line in said if any(name in line for name in names)] == []


@pytest.mark.parametrize(
    ("release", "refused"), [("25.11", True), ("26.05", False), (None, False)]
)
def test_agents_systems_need_a_nixos_that_knows_them(
    tmp_path: Path, release: str | None, refused: bool
) -> None:
    if release is not None:
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib/.version").write_text(f"{release}\n")
    module = f"""{{ services.hyperhive = {{
      apiKeyFile = "/run/secrets/key";
      nixpkgs = "{tmp_path}";
    }}; }}"""
    found = outcome.run(record.HERE / "evaluate.nix", ["--arg", "module", module])
    said = [text for text in found["failed"] if "NixOS 25.11" in text]
    assert (bool(said), len(found["failed"])) == (refused, int(refused))


def test_the_module_knows_the_limits_that_nest() -> None:
    (sentence,) = EXPECTED["bad-health"]["failed"]
    for number in (HEALTH_LEAST_S, PREFLIGHT_S, SERVER_START_S):
        assert f" {number:g}" in sentence
    assert not EXPECTED["health-least"]["failed"]
