"""Attempts from inside an agent's sandbox, as a program and as expressions for it.

``PROBES`` runs in the sandbox and evaluates ``probes`` with its own functions; the
tests of isolation read what it found.
"""

from typing import Any, Final

from checks.kits.host.hive import Hive
from pyglue.api.common import PROTOCOL

FOREIGN_KEY: Final = "sk-not-the-hives"

PROBES: Final = '''
import http.client, json, os, pathlib, socket, subprocess, sys

def attempt(family, address):
    """Connect; say how it went."""
    with socket.socket(family) as sock:
        sock.settimeout(5)
        try:
            sock.connect(address)
        except OSError as error:
            return type(error).__name__
        return "connected"

def tcp(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return attempt(family, (host, port))

def unix(path):
    return attempt(socket.AF_UNIX, path)

class Model(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect("/run/hive/model.sock")

def model(body=None, headers={}, method="POST", path="/v1/messages"):
    """Ask the model's socket; return status and text."""
    connection = Model("model")
    connection.request(method, path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    return [answer.status, answer.read().decode()]

def rpc(*lines):
    """Call the hive's socket, one after the other; return the answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect("/run/hive/hive.sock")
        file, answers = sock.makefile("rb"), []
        for line in lines:
            sock.sendall(json.dumps(line).encode() + b"\\n")
            answers.append(json.loads(file.readline()))
        return answers

def spoil(path):
    """Try to replace a file."""
    try:
        pathlib.Path(path).write_bytes(b"mine")
    except OSError as error:
        return type(error).__name__
    return "written"

def bare(*options):
    """Put a bare repository together whose config runs a program, and look into it."""
    place, ran = pathlib.Path("/state/looks-harmless"), pathlib.Path("/state/ran")
    for name in ("objects", "refs"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "HEAD").write_text("ref: refs/heads/main\\n")
    program = pathlib.Path("/state/monitor")
    program.write_text("#!/bin/sh\\ntouch /state/ran\\n")
    program.chmod(0o755)
    (place / "config").write_text(
        "[core]\\nbare = false\\nworktree = /state\\nfsmonitor = /state/monitor\\n"
    )
    ran.unlink(missing_ok=True)
    command = ["git", *options, "status"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    return [done.returncode, done.stderr, ran.exists()]

sources = json.loads(pathlib.Path("/state/probes.json").read_text())
found = {}
for name, source in sources.items():
    try:
        found[name] = eval(source)
    except Exception as error:
        found[name] = "failed: " + repr(error)
pathlib.Path("/state/found.json").write_text(json.dumps(found))
print("probes are done")
'''


def request(**changes: Any) -> dict[str, Any]:
    """Return a request to the model that is right but for ``changes``."""
    body = {
        "model": "haiku",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "a probe"}],
    }
    return body | changes


def block(**content: Any) -> dict[str, Any]:
    """Return a request with one content block."""
    return request(messages=[{"role": "user", "content": [content]}])


URL: Final = "https://192.0.2.1/"
TOOL: Final = {"type": "web_search_20250305", "name": "web_search"}
FETCH: Final = {"type": "web_fetch_20250910", "name": "web_fetch"}
RUN: Final = {"type": "code_execution_20250825", "name": "code_execution"}
SERVER: Final = {"type": "url", "url": URL, "name": "out"}

REFUSED: Final[dict[str, tuple[dict[str, Any], dict[str, str], int]]] = {
    "web search": (request(tools=[TOOL]), {}, 400),
    "web fetch": (request(tools=[FETCH]), {}, 400),
    "code execution": (request(tools=[RUN]), {}, 400),
    "mcp servers": (request(mcp_servers=[SERVER]), {}, 400),
    "container": (request(container="c"), {}, 400),
    "unknown field": (request(callback=URL), {}, 400),
    "image by url": (block(type="image", source={"type": "url", "url": URL}), {}, 400),
    "file": (block(type="document", source={"type": "file", "file_id": "f"}), {}, 400),
    "mcp result": (block(type="mcp_tool_use", id="m", name="n", input={}), {}, 400),
    "beta": (request(), {"anthropic-beta": "mcp-client-2025-04-04"}, 400),
    "files beta": (request(), {"anthropic-beta": "files-api-2025-04-14"}, 400),
    "dearer model": (request(model="opus"), {}, 404),
    "no such model": (request(model="gpt"), {}, 404),
}


def probes(hive: Hive, tcp_port: int, abstract: str) -> dict[str, str]:
    """Return what is tried, each as an expression over the program's functions."""
    layout = hive.local.config.layout
    sources = {
        "internet": "tcp('192.0.2.1', 443)",
        "loopback": f"tcp('127.0.0.1', {tcp_port})",
        "loopback 6": f"tcp('::1', {tcp_port})",
        "dashboard": f"tcp('127.0.0.1', {hive.local.config.web.port})",
        "abstract": f"unix({chr(0) + abstract!r})",
        "operator": f"unix({str(layout.operator_socket)!r})",
        "relay": f"unix({str(layout.relay_socket)!r})",
        "relay fds": f"unix({str(layout.relay_fds_socket)!r})",
        "manager's hive": f"unix({str(layout.run('manager') / 'hive.sock')!r})",
        "manager's model": f"unix({str(layout.run('manager') / 'model.sock')!r})",
        "own hive": "unix('/run/hive/hive.sock')",
        "sees": "sorted(os.listdir('/run/hive'))",
        "interfaces": "[name for _, name in socket.if_nameindex()]",
        "root": "sorted(os.listdir('/'))",
        "processes": "[p for p in os.listdir('/proc') if p.isdigit()]",
        "environment": "dict(os.environ)",
        "own manifest": "spoil('/run/hive/manifest.json')",
        "state of the hive": f"os.path.exists({str(layout.database)!r})",
        "foreign key": (
            f"model({request()!r}, {{'x-api-key': {FOREIGN_KEY!r}, "
            f"'authorization': 'Bearer {FOREIGN_KEY}', 'cookie': 'a=b'}})"
        ),
        "bare repository": "bare()",
        "bare repository, named": "bare('--git-dir=.')",
        "files": "model(path='/v1/files', method='GET')",
        "batches": f"model({request()!r}, path='/v1/messages/batches')",
        "absolute": f"model({request()!r}, path='{URL}v1/messages')",
        "connect": "model(path='192.0.2.1:443', method='CONNECT')",
    }
    for name, (body, headers, _status) in REFUSED.items():
        sources[f"refused: {name}"] = f"model({body!r}, {headers!r})"
    for name in ("list_agents", "submit_begin", "start", "approve", "login_code"):
        hello = {"protocol": PROTOCOL, "client": "hive"}
        lines = (call(1, "hello", **hello), call(2, name))
        sources[f"rpc: {name}"] = f"rpc(*{lines!r})"
    sources["rpc: no hello"] = f"rpc({call(1, 'whoami')!r})"
    return sources


def call(number: int, method: str, **params: Any) -> dict[str, Any]:
    """Return a call as it goes over a socket."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
