"""Secrets in a systemd container: injected into requests, and exposed to the agent.

The internet is a network namespace of the test host, with a server that asks for the
token, over TLS; hive-egress trusts its certificate beside its own system's.
"""

import hashlib
from pathlib import Path
from typing import Final

import pytest

from checks.kits.egress.bench import make_certificate
from checks.kits.host.hive import script
from checks.systemd.hive import STATE, SystemHive
from checks.systemd.machine import UNCHECKED
from checks.systemd.neighbours import namespace
from pyglue.api import operator as api
from pyglue.api.journal import JournalParams
from pyglue.api.manager import AgentParams
from pyglue.api.operations import OperationState
from pyglue.api.secrets import SecretParams, SecretSetParams

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn", "openssl"),
]

FORGE: Final = "1.2.5.4"
GATE: Final = "1.2.5.1"
INJECTED: Final = "injected-3f9c1b7a5d"
SEEN: Final = "seen-77aa21bb/+90"
KEY: Final = "key-5512cc98-ff01"
VALUES: Final = {SEEN: "API_TOKEN", KEY: "DEPLOY_KEY"}
INJECT: Final = """{
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = null;
  hyperhive.network.allow = [ "forge.test" ];
  hyperhive.secrets.FORGE_TOKEN.inject = [ { host = "forge.test"; } ];
}"""
EXPOSE: Final = """{
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = null;
  hyperhive.secrets.API_TOKEN.expose = "env";
  hyperhive.secrets.DEPLOY_KEY.expose = "file";
}"""
PLAIN: Final = '{ hyperhive.description = "plain again"; }'
SERVE: Final = """
import http.server, os, socket, socketserver, ssl
class Server(http.server.ThreadingHTTPServer):
    server_bind = socketserver.TCPServer.server_bind  # which asks no name server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        given = self.headers.get("Authorization", "nothing")
        with open("/var/forge/asked", "a") as file:
            file.write(f"{self.path} {given}\\n")
        body = f"welcome, {given}\\n".encode()
        self.send_response(200 if given == f"Bearer {token}" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
token = open("/var/forge/token").read()
server = Server(("0.0.0.0", 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/var/forge/cert.pem", "/var/forge/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
    ready.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever()
"""
FETCH: Final = """
import urllib.request
print(urllib.request.urlopen("https://forge.test/thing").read().decode())
"""
DROP_IN: Final = "/run/systemd/system/hive-egress.service.d/forge.conf"


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def bash(command: str) -> dict[str, object]:
    """Run a command with the programs of the host's Debian."""
    command = f"export PATH=/usr/bin:$PATH; unset PYTHONPATH; {command}"
    return {"tool": "Bash", "input": {"command": command, "description": "work"}}


async def deploy(hive: SystemHive, nix: str) -> None:
    operation = await hive.approve(await hive.propose("alice", nix))
    assert (operation.state, operation.error) == (OperationState.DONE, None)
    await hive.idle("alice")


async def told(hive: SystemHive, command: str, report: str) -> str:
    """Let alice run a command, and return what she reports of its result."""
    tell = {"to": "operator", "body": report}
    steps = (
        bash(command),
        {"tool": "mcp__hive__send", "input": tell},
        {"text": "done"},
    )
    await hive.send("alice", script(*steps))
    answer = await hive.answer("alice", report.partition("{{")[0])
    await hive.idle("alice")
    return answer.body


def everywhere(hive: SystemHive, value: str) -> set[str]:
    """Return the host's files that hold a value: units, confs, Nix's, the hive's."""
    done = hive.machine.run(
        *("grep", "-rlsF", "-D", "skip", "--", value, "/etc", "/run/systemd"),
        *(
            "/run/hyperhive",
            "/nix/store",
            "/nix/var",
            "/var/lib/nixos-containers",
            STATE,
        ),
        check=False,
    )
    return set(done.out.split())


def is_shown(file: str) -> bool:
    """Tell whether a file is neither the agent's conversation nor its own journal."""
    return "/private/alice/session/" not in file and not file.endswith(".journal")


@pytest.fixture(scope="module")
def forge(hive: SystemHive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Serve, and let hive-egress find it and trust it; return what it was asked."""
    machine = hive.machine
    cert, key = make_certificate(tmp_path_factory.mktemp("forge"), "forge.test")
    machine.write("/var/forge/cert.pem", cert.read_text())
    machine.write("/var/forge/key.pem", key.read_text(), mode=0o600)
    machine.write("/var/forge/token", INJECTED, mode=0o600)
    namespace(machine, "forge", "up2", GATE, FORGE)
    machine.run(
        *("systemd-run", "--quiet", "--property=Type=notify"),
        *("--property=NetworkNamespacePath=/run/netns/forge", "/usr/bin/python3"),
        *("-c", SERVE),
    )
    hosts = machine.run("cat", "/etc/hosts", check=False).out
    machine.write("/etc/hosts", f"{hosts}{FORGE} forge.test\n")
    machine.write(DROP_IN, "[Service]\nEnvironment=SSL_CERT_FILE=/var/forge/cert.pem\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "hive-egress")
    return machine.root / "var/forge/asked"


async def test_a_request_carries_what_the_agent_never_sees(
    hive: SystemHive, forge: Path
) -> None:
    with hive.machine.harness(UNCHECKED):
        await deploy(hive, INJECT)
    params = SecretSetParams(name="FORGE_TOKEN", value=INJECTED)
    await hive.operator.call(api.SECRET_SET, params)
    command = f"python3 -c '{FETCH}' 2>&1; env; cat /run/hive/ca.pem | tail -1"
    said = await told(
        hive, command, "fetched: {{result:welcome, .*}} {{result:-----END CERT.*}}"
    )
    assert f"welcome, Bearer {'*' * len(INJECTED)}" in said, said
    assert forge.read_text() == f"/thing Bearer {INJECTED}\n"
    assert not any(INJECTED.encode() in bytes(one.data) for one in hive.events)
    assert everywhere(hive, INJECTED) == {f"{STATE}/secrets/FORGE_TOKEN"}

    async def used() -> list[tuple[str, str | None]] | None:
        found = await hive.operator.call(api.AGENT, AgentParams(agent="alice"))
        return [(one.host, one.refused) for one in found.hosts][:1] or None

    # hive-egress reports once a second.
    assert await hive.until(used, "the host's report") == [("forge.test", None)]


async def test_programs_find_what_the_agent_may_see(hive: SystemHive) -> None:
    with hive.machine.harness(UNCHECKED):
        await deploy(hive, EXPOSE)
    detail = await hive.operator.call(api.AGENT, AgentParams(agent="alice"))
    assert [one.problem for one in detail.secrets] == [
        "API_TOKEN is not set: run `hive secret set API_TOKEN`.",
        "DEPLOY_KEY is not set: run `hive secret set DEPLOY_KEY`.",
    ]
    for name, value in (("API_TOKEN", SEEN), ("DEPLOY_KEY", KEY)):
        params = SecretSetParams(name=name, value=value)
        await hive.operator.call(api.SECRET_SET, params)
    place = "/run/hive/secrets"
    said = await told(
        hive,
        'echo "env=$(printf %s "$API_TOKEN" | sha256sum)"; '
        f'echo "file=$(sha256sum < {place}/DEPLOY_KEY)"; '
        f"stat -f -c on=%T {place}; stat -c mode=%a-%U {place}/DEPLOY_KEY; "
        f"stat -c top=%a-%U {place}; touch /run/hive/x 2>&1; "
        # journald asks the kernel whose it is, so its sender has to be there still.
        'echo "plain $API_TOKEN"; { echo "logged $API_TOKEN"; sleep 2; } | systemd-cat',
        "found: {{result:env=\\w+}} {{result:file=\\w+}} {{result:on=\\w+}} "
        "{{result:mode=[-\\w]+}} {{result:top=[-\\w]+}} {{result:plain.*}} "
        "{{result:Read-only}}",
    )
    assert digest(SEEN) in said and digest(KEY) in said, said
    assert "on=tmpfs mode=400-agent top=700-agent" in said
    assert "plain [secret API_TOKEN]" in said and "Read-only" in said


async def test_nothing_shows_or_keeps_what_it_sees(hive: SystemHive) -> None:
    """But its own conversation, and the container's own journal of what it logged."""
    assert not any(v.encode() in bytes(one.data) for one in hive.events for v in VALUES)
    asked = JournalParams(agent="alice", lines=200)

    page = await hive.operator.call(api.JOURNAL, asked)
    text = "\n".join(one.text for one in page.lines)
    assert "logged [secret API_TOKEN]" in text and SEEN not in text
    for value, name in VALUES.items():
        shown = {one for one in everywhere(hive, value) if is_shown(one)}
        assert shown == {f"{STATE}/secrets/{name}"}
    words = hive.machine.run("ps", "-A", "-ww", "-o", "args").out
    assert not any(value in words for value in VALUES)
    look = "import json, os; print(json.dumps(os.listdir('/run/hive/secrets')))"
    assert hive.inside("alice", look) == []  # not even by the container's root


async def test_it_sees_the_same_after_a_restart_of_hived(hive: SystemHive) -> None:
    """The container runs on; a hived that begins anew hides the values as before."""
    run = hive.run_of("container@h-alice")
    await hive.restart_hived()
    await hive.idle("manager", "alice")
    said = await told(
        hive,
        'echo "env=$(printf %s "$API_TOKEN" | sha256sum)"; '
        'echo "file=$(sha256sum < /run/hive/secrets/DEPLOY_KEY)"; '
        'echo "plain $API_TOKEN"; cat /run/hive/secrets/DEPLOY_KEY',
        "again: {{result:env=\\w+}} {{result:file=\\w+}} {{result:plain.*}} "
        "{{result:\\[secret DEPLOY_KEY\\]}}",
    )
    assert f"env={digest(SEEN)} file={digest(KEY)} plain [secret API_TOKEN]" in said
    assert hive.run_of("container@h-alice") == run
    assert not any(v.encode() in bytes(one.data) for one in hive.events for v in VALUES)
    for value, name in VALUES.items():
        shown = {one for one in everywhere(hive, value) if is_shown(one)}
        assert shown == {f"{STATE}/secrets/{name}"}


async def test_a_rotated_value_holds_from_the_next_turn_on(hive: SystemHive) -> None:
    rotated = SecretSetParams(name="API_TOKEN", value=f"{SEEN}-2")
    await hive.operator.call(api.SECRET_ROTATE, rotated)
    said = await told(
        hive, 'printf %s "$API_TOKEN" | sha256sum', "rotated: {{result:[0-9a-f]+}}"
    )
    assert digest(f"{SEEN}-2") in said
    for name in ("API_TOKEN", "DEPLOY_KEY", "FORGE_TOKEN"):
        await hive.operator.call(api.SECRET_REMOVE, SecretParams(name=name))
    await deploy(hive, PLAIN)
    hive.machine.run("rm", DROP_IN)
    hive.machine.run("systemctl", "daemon-reload")
    hive.machine.run("systemctl", "restart", "hive-egress")
    assert hive.machine.run("ls", f"{STATE}/secrets").out == ""
