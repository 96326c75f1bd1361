"""Bad input at every edge: a sentence with what to do, an exit code, no traceback.

The CLI and the daemons run as real processes; junk goes to the sockets of one hive
that serves the whole module and must be well at the end.
"""

import asyncio
import json
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.kits.cli import run
from checks.kits.cli.run import HIVE, forks, python, typed
from checks.kits.host.hive import Hive, let_pass
from checks.kits.host.shared_hive import shared_hive
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalState
from pyglue.api.common import PROTOCOL, NoParams
from pyglue.api.doctor import CheckState
from pyglue.cli.local.launcher import PARTS
from pyglue.config import HiveConfig, RelayConfig, dump, load
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.sockets import short_path
from pyglue.process import RunAs

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

DAEMONS = ("pyglue.host.main", "pyglue.relay.main", "pyglue.web.main")
NOBODY = RunAs(65534, 65534)

# --- the command line, without a hive -----------------------------------------------


async def test_what_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    long = tmp_path / ("x" * 120) / "no.sock"
    for path in (tmp_path, tmp_path / "file", tmp_path / "file" / "below", long):
        said = run.typed("status", "--socket", path)
        assert "Is the hive running?" in said.refusal()


async def test_somebody_else_listens(tmp_path: Path) -> None:
    async def junk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    with short_path(tmp_path / "s") as name:
        server = await asyncio.start_unix_server(junk, name)
    async with server:
        said = await python(HIVE, "status", "--socket", tmp_path / "s")
    said.refusal()


async def test_manifest_of_what_is_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "agent.nix").write_text("{")
    none, lib = tmp_path / "none", ("--nixpkgs-lib", tmp_path)
    said = await forks(
        tmp_path,
        HIVE,
        *(("manifest", none, *flags) for flags in ((), ("--json",))),
        *(("manifest", broken, *flags) for flags in ((), ("--json",))),
        ("manifest", broken, *lib),
        ("manifest", broken, *lib, "--json"),
    )
    for missing in said[:2]:
        assert (missing.code, missing.out) == (1, "")
        assert missing.err == "agent.nix: no such file\n"
    for bad in said[2:4]:
        assert (bad.code, bad.out) == (1, "")
        assert bad.err.startswith("agent.nix:1:1: syntax error")
    assert "nixpkgs" in said[4].refusal()
    assert said[5].error()["code"] == "config_invalid"


# --- starting a hive ------------------------------------------------------------------


@pytest.mark.parametrize(("port", "code"), [("abc", 2), ("0", 1), ("65536", 1)])
async def test_a_port_that_is_none(tmp_path: Path, port: str, code: int) -> None:
    said = await python(HIVE, "run", "--state", tmp_path, env={"HIVE_PORT": port})
    assert port in said.refusal(code=code)


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = await python(HIVE, "run", "--state", tmp_path, "--port", port)
    assert f"port {port}" in said.refusal()
    assert "--port" in said.refusal()


async def test_a_state_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    *said, as_json = await forks(
        tmp_path,
        HIVE,
        *(("run", "--state", state) for state in (file, file / "below")),
        *(("demo", "--keep", state) for state in (file, file / "below")),
        ("run", "--state", file, "--json"),
    )
    assert all("Choose another" in one.refusal() for one in said)
    assert as_json.error()["code"] == "config_invalid"


@pytest.mark.needs("root")
async def test_a_state_of_somebody_else(tmp_path: Path) -> None:
    said = await python(HIVE, "run", "--state", tmp_path / "s", run_as=NOBODY)
    assert "Permission denied" in said.refusal()


# --- daemons --------------------------------------------------------------------------

BAD_CONFIG = {
    "empty": b"",
    "cut": b"{",
    "list": b"[]",
    "bytes": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "unknown field": b'{"state_dir":"/s","runtime_dir":"/r","bogus":1}',
    "missing field": b'{"state_dir":"/s"}',
    "wrong type": b'{"state_dir":5,"runtime_dir":"/r"}',
    "relative": b'{"state_dir":"s","runtime_dir":"/r"}',
    "no path": b'{"state_dir":"","runtime_dir":"/r"}',
    "zero byte": b'{"state_dir":"/a\\u0000b","runtime_dir":"/r"}',
    "port": b'{"state_dir":"/s","runtime_dir":"/r","web":{"port":0}}',
    "root": (
        b'{"state_dir":"/s","runtime_dir":"/r","ids":{"agent":0,"web":1,"relay":2}}'
    ),
}


@pytest.mark.parametrize("name", BAD_CONFIG)
async def test_a_config_that_is_not_right(tmp_path: Path, name: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(BAD_CONFIG[name])
    with pytest.raises(HiveError, match=r"Invalid config.* file .*: .*[.]$") as caught:
        load(file)
    assert caught.value.code is ErrorCode.CONFIG_INVALID


@pytest.mark.parametrize("module", DAEMONS)
async def test_a_daemon_with_a_bad_config(tmp_path: Path, module: str) -> None:
    (tmp_path / "cut").write_bytes(b"{")
    files = (tmp_path / "cut", tmp_path / "none", tmp_path)
    cut, missing, directory, usage = await forks(
        tmp_path, module, *(("--config", file) for file in files), ()
    )
    assert "Invalid configuration file" in cut.refusal()
    assert "Cannot read " in missing.refusal()
    assert "Cannot read " in directory.refusal()
    assert "--config" in usage.refusal(code=2)


def config_file(room: Path, **changes: Any) -> Path:
    """Write a config of a hive below ``room``; return the file."""
    places = {"state_dir": str(room / "state"), "runtime_dir": str(room / "run")}
    file = room / "config.json"
    file.write_bytes(dump(HiveConfig(**(places | changes))))
    return file


async def test_hived_where_it_may_not_write(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    said = await python("pyglue.host.main", "--config", config_file(tmp_path))
    assert f"Cannot use {tmp_path / 'state'}: " in said.refusal()


async def test_hived_with_a_backend_that_is_none(tmp_path: Path) -> None:
    file = config_file(tmp_path, backend="cloud")
    said = await python("pyglue.host.main", "--config", file)
    assert "There is no backend 'cloud'" in said.refusal()


async def test_a_relay_would_send_the_key_in_the_clear(tmp_path: Path) -> None:
    file = config_file(tmp_path, relay=RelayConfig(upstream_url="http://192.0.2.1"))
    said = await python("pyglue.relay.main", "--config", file)
    assert "https://" in said.refusal()


def only(directory: Path, *programs: str) -> str:
    """Return a PATH with just these programs, for every user to walk to."""
    directory.mkdir()
    let_pass(directory)
    for name in programs:
        found = shutil.which(name)
        assert found is not None
        (directory / name).symlink_to(found)
    return str(directory)


async def test_a_hive_without_git(tmp_path: Path) -> None:
    path = only(tmp_path / "bin", "bwrap", "nix-instantiate", "setpriv")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", HIVE, "run"),
        *("--state", str(tmp_path / "state"), "--port", str(free_port())),
        env={"PATH": path, "HOME": "/nonexistent"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while "Ctrl-C" not in "".join(said[-1:]):
            said.append((await process.stdout.readline()).decode())
            assert said[-1], said
    process.terminate()
    await process.communicate()
    assert ": git was not found. Install git" in "".join(said)
    assert "Traceback" not in "".join(said)


async def test_hived_without_nix(tmp_path: Path) -> None:
    for place in ("/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin"):
        if (Path(place) / "nix-instantiate").exists():
            pytest.skip(f"hived finds Nix in {place}, whatever PATH says")
    env = {"PATH": only(tmp_path / "bin", "bwrap", "git", "setpriv")}
    said = await python("pyglue.host.main", "--config", config_file(tmp_path), env=env)
    assert "nix-instantiate was not found" in said.refusal()


# --- a running hive -------------------------------------------------------------------


hive = shared_hive(agents=("manager",), peers=True, beside=PARTS)


SHA, HASH = "0" * 40, "0" * 64

REFUSED = {
    "approval 0": "bad_request",
    "approval -1": "bad_request",
    "approval 99": "not_found",
    "approval 99999999999999999999999": "bad_request",
    f"approve 99 --commit {SHA} --manifest {HASH}": "not_found",
    "approve 99 --commit main --manifest x": "not_found",
    "deny 99 --reason no": "not_found",
    "deny 99 --reason=": "bad_request",
    "send bob hello": "not_found",
    "send ../manager hello": "not_found",
    "send manager ": "bad_request",
    "spawn operator": "name_reserved",
    "spawn manager": "name_reserved",
    "spawn B\N{LATIN SMALL LETTER O WITH DIAERESIS}b": "invalid_name",
    "start bob": "not_found",
    "stop bob": "not_found",
    "restart bob": "not_found",
    "cancel-operation 0": "bad_request",
    "cancel-operation 99": "not_found",
    "cancel bob": "not_found",
    "compact bob": "not_found",
    "destroy bob --yes": "not_found",
    "destroy manager": "bad_request",
    "destroy manager --yes": "forbidden",
    "discard bob --yes": "not_found",
    "draft ../bob": "invalid_name",
    "export bob -o /dev/null/x": "not_found",
    "import /dev/null": "bad_request",
    "inbox done": "bad_request",
    "inbox done 99": "not_found",
    "model bob opus": "not_found",
    "model manager gpt": "model_not_allowed",
    "pause": "bad_request",
    "pause manager --all": "bad_request",
    "purge bob --yes": "not_found",
    "rebuild": "bad_request",
    "restore bob": "not_found",
    "rollback manager 99": "not_found",
}


@pytest.mark.parametrize("command", REFUSED)
async def test_a_command_that_hived_refuses(
    hive: Hive,
    command: str,
) -> None:
    name, *rest = command.split(" ")
    words = (name, "--state", str(hive.state))
    options = any(word.startswith(("--", "-o")) for word in rest)
    arguments = rest if options else ["--", *rest]
    said = typed(*words, "--json", *arguments).error()
    assert said["code"] == REFUSED[command]
    plain = typed(*words, *arguments)
    assert said["message"].splitlines()[-1] in plain.refusal()


async def test_approving_something_else_than_was_proposed(hive: Hive) -> None:
    state = ("--state", hive.state, "--json")
    proposed = json.loads(run.typed("spawn", "bob", *state).out)
    number, commit = str(proposed["approval"]), proposed["commit"]
    for seen in (
        ("--commit", commit, "--manifest", HASH),
        ("--commit", SHA, "--manifest", proposed["manifest_sha256"]),
        ("--commit", commit[:12], "--manifest", proposed["manifest_sha256"]),
        ("--commit", "", "--manifest", ""),
    ):
        said = run.typed("approve", number, *seen, *state)
        assert said.error()["code"] in ("stale", "bad_request")
    (left,) = await hive.approvals("bob")
    assert left.state is ApprovalState.PENDING


def hello(**params: Any) -> bytes:
    """Return a hello as it goes over the socket."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": params}
    return json.dumps(call).encode() + b"\n"


JUNK: dict[str, tuple[bytes, str]] = {
    "no json": (b"hello\n", "bad_request"),
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_request"),
    "bytes": (b"\xff\xfe\x00\n", "bad_request"),
    "empty line": (b"\n", "bad_request"),
    "list": (b"[]\n", "bad_request"),
    "number": (b"5\n", "bad_request"),
    "batch": (b'[{"jsonrpc":"2.0","id":1,"method":"hello"}]\n', "bad_request"),
    "id": (b'{"jsonrpc":"2.0","id":"a","method":"hello"}\n', "bad_request"),
    "method": (b'{"jsonrpc":"2.0","id":1,"method":5}\n', "bad_request"),
    "deep": (b'{"params":' + b"[" * 100_000 + b"\n", "bad_request"),
    "no hello": (b'{"jsonrpc":"2.0","id":1,"method":"status"}\n', "unknown_method"),
    "no params": (b'{"jsonrpc":"2.0","id":1,"method":"hello"}\n', "bad_request"),
    "null params": (
        b'{"jsonrpc":"2.0","id":1,"method":"hello","params":null}\n',
        "bad_request",
    ),
    "old protocol": (
        hello(protocol=0, client="x"),
        "unsupported_protocol",
    ),
    "unknown field": (
        hello(protocol=PROTOCOL, client="x", root=True),
        "bad_request",
    ),
    "line without end": (b"x" * (17 * 2**20), "too_large"),
}


@pytest.mark.parametrize("name", JUNK)
@pytest.mark.parametrize("whose", ["operator", "manager", "relay"])
async def test_junk_is_answered_with_an_error(
    hive: Hive, whose: str, name: str
) -> None:
    layout = hive.local.config.layout
    path = {
        "operator": layout.operator_socket,
        "manager": layout.run("manager") / "hive.sock",
        "relay": layout.relay_socket,
    }[whose]
    sent, code = JUNK[name]
    with short_path(path) as place:
        reader, writer = await asyncio.open_unix_connection(place, limit=2**20)
    writer.write(sent)
    answer = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE_S))
    assert answer["error"]["data"]["code"] == code
    assert answer["error"]["message"].endswith(".")
    writer.close()


async def test_answers_and_notes_that_nobody_wants_are_dropped(hive: Hive) -> None:
    with short_path(hive.local.config.layout.operator_socket) as place:
        reader, writer = await asyncio.open_unix_connection(place)
    for line in (
        b'{"jsonrpc":"2.0","id":7,"result":{}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}',
        b'{"jsonrpc":"2.0","method":"$/cancel","params":{"id":99}}',
        b'{"jsonrpc":"2.0","method":"$/cancel","params":[]}',
        b'{"jsonrpc":"2.0","method":"nope"}',
    ):
        writer.write(line + b"\n")
    writer.write(hello(protocol=PROTOCOL, client="x"))
    answer = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE_S))
    assert answer["result"]["role"] == "operator"
    writer.close()


async def test_a_second_hived_for_the_same_state(hive: Hive, tmp_path: Path) -> None:
    config = hive.local.config
    file = tmp_path / "config.json"
    file.write_bytes(dump(config))
    said = await python("pyglue.host.main", "--config", file)
    assert "hived" in said.refusal()
    assert (await hive.operator.call(api.STATUS, NoParams())).running == 1


async def test_after_all_this_the_hive_is_well(hive: Hive) -> None:
    found = await hive.operator.call(api.DOCTOR, NoParams())
    assert not [c for c in found.checks if c.state is CheckState.PROBLEM]
    logs = [file for file in (hive.state / "logs").rglob("*") if file.is_file()]
    assert logs
    for log in logs:
        assert "Traceback" not in log.read_text(), log
