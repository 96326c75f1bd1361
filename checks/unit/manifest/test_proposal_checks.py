"""Options that could not work after approval are refused when proposed."""

from typing import Any, Final

import pytest

from checks.kits.host.policy import manifest
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import proposal_checks
from pyglue.models import catalogue

AT: Final = "/hive/agent"
STORE: Final = "/nix/store/fxf4pa4daak7ikmm6pyw02ccvbgqkw5h-server.py"


def server(**options: Any) -> dict[str, Any]:
    one = {"command": "python3", "args": [], "env": {}, "allowedTools": []}
    return {"mcpServers": {"x": one | options}}


def refusal(manifest: dict[str, Any]) -> str:
    with pytest.raises(HiveError) as caught:
        proposal_checks.check(manifest, evaluated_at=AT)
    assert caught.value.code is ErrorCode.MANIFEST_INVALID
    problems = [problem["message"] for problem in caught.value.details["problems"]]
    assert len(problems) == 1 and problems[0] in caught.value.message
    return str(problems[0])


@pytest.mark.parametrize("name", ["gpt-4o", "claude-opus", "Opus", "haiku-4.5", ""])
def test_a_model_that_the_relay_refuses(name: str) -> None:
    said = refusal({"model": name})
    assert said.startswith(f"hyperhive.model: There is no model {name!r}.")
    for model in catalogue.MODELS:
        assert model.id in said and all(alias in said for alias in model.aliases[:1])


@pytest.mark.parametrize("model", catalogue.MODELS, ids=lambda model: model.id)
def test_a_model_that_the_relay_knows(model: catalogue.ModelInfo) -> None:
    for name in (model.id, f"{model.id}-20260101", *model.aliases):
        proposal_checks.check({"model": name}, evaluated_at=AT)


@pytest.mark.parametrize("path", [STORE, f"{AT}/server.py", AT, f"x={AT}/a/b.py:1"])
@pytest.mark.parametrize(
    ("option", "manifest"),
    [
        ("mcpServers.x.args[1]", lambda path: server(args=["-u", path])),
        ("mcpServers.x.env.FILE", lambda path: server(env={"FILE": path})),
        ("mcpServers.x.command", lambda path: server(command=path)),
        ("env.FILE", lambda path: {"env": {"FILE": path}}),
        ("prompt", lambda path: {"prompt": f"Read {path} first."}),
    ],
)
def test_a_path_of_the_evaluation(path: str, option: str, manifest: Any) -> None:
    said = refusal(manifest(path))
    assert said.startswith(f"hyperhive.{option} names ")
    assert "does not exist for the agent" in said
    assert "/state/server.py" in said and "builtins.readFile" in said


@pytest.mark.parametrize("path", ["/hive/agents/x", "/hive/agent-notes", "/nix/store"])
def test_other_paths_are_the_agents_own(path: str) -> None:
    found = server(args=[path], env={"FILE": path})
    proposal_checks.check(found, evaluated_at=AT)
    proposal_checks.check(found, evaluated_at="/srv/quarantine/tree-1")


def test_a_bare_evaluation_is_elsewhere() -> None:
    with pytest.raises(HiveError, match=r"tree-1/server\.py"):
        proposal_checks.check(
            server(args=["/srv/tree-1/server.py"]), evaluated_at="/srv/tree-1"
        )


@pytest.mark.parametrize(
    "text", ["${HOME}", "a/${HOME}/b", "${A:-b}", "${A:-}", "${ }"]
)
@pytest.mark.parametrize("where", ["args", "env", "url", "headers"])
def test_what_the_cli_would_replace(text: str, where: str) -> None:
    value: Any = {"args": ["-x", text], "env": {"A": text}, "url": text}.get(
        where, {"Authorization": text}
    )
    said = refusal(server(**{where: value}))
    assert said.startswith(f"hyperhive.mcpServers.x.{where}")
    assert "would replace with an environment variable" in said


@pytest.mark.parametrize("text", ["$HOME", "${", "${}", "$(x)", "{HOME}", "$$"])
def test_what_the_cli_leaves_alone(text: str) -> None:
    proposal_checks.check(server(args=[text], env={"A": text}), evaluated_at=AT)


def test_every_problem_is_said() -> None:
    found = {"model": "gpt-4o", "bash": {"allow": ["npx *"]}} | server(args=["${A}"])
    with pytest.raises(HiveError) as caught:
        proposal_checks.check(found, evaluated_at=AT)
    assert len(caught.value.details["problems"]) == 3


def outside(*names: str, ignored: bool) -> str | None:
    try:
        proposal_checks.check({}, evaluated_at=AT, nixos_options=names, ignored=ignored)
    except HiveError as error:
        return error.message
    return None


@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hyperhve.model", "Unknown option hyperhve: did you mean hyperhive?"),
        ("hyperHive.model", "Unknown option hyperHive: did you mean hyperhive?"),
        ("hiperhive.prompt", "did you mean hyperhive?"),
        ("model", "Unknown option model: did you mean hyperhive.model?"),
        ("limits.turnsPerHour", "did you mean hyperhive.limits?"),
        ("mcpServers.x", "did you mean hyperhive.mcpServers?"),
        ("outputs", "This is a flake, but agent.nix must be a module"),
    ],
)
def test_a_misspelt_name_at_the_top(name: str, said: str, *, ignored: bool) -> None:
    message = outside("environment.x", name, ignored=ignored)
    assert message is not None and said in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("servics.x", "Unknown option servics: did you mean services?"),
        ("xyzzy", "Unknown option xyzzy: NixOS has none either."),
    ],
)
def test_where_nothing_else_reads_nixos_options(name: str, said: str) -> None:
    message = outside(name, ignored=True)
    assert message is not None and said in message
    assert outside(name, ignored=False) is None  # NixOS itself says so, or knows it


def test_names_of_nixos_and_declared_ones_are_taken() -> None:
    names = ("assertions", "environment.systemPackages", "warnings", "services.x")
    own = ("options.mine.x", "mine.x")
    for ignored in (True, False):
        assert outside(*names, *own, ignored=ignored) is None


def test_what_may_be_meant_otherwise_is_noted() -> None:
    (note,) = proposal_checks.notes({"prompt": "a\r\nb", "description": "c"})
    assert note.startswith("hyperhive.prompt contains carriage returns")
    assert proposal_checks.notes({"prompt": "a\nb"}) == ()


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("24:00", "hyperhive.schedule.x.at: Invalid time 24:00: write a "),
        ("08:00 Berlin", "hyperhive.schedule.x.at: There is no time zone Berlin: "),
        ("*-02-30", "hyperhive.schedule.x.at is “*-02-30”, which never occurs again."),
        (
            "2020-01-01",
            "hyperhive.schedule.x.at is 2020-01-01, which never occurs again.",
        ),
    ],
)
def test_a_schedule_that_never_comes(at: str, says: str) -> None:
    found = refusal({"schedule": {"x": {"at": at, "message": "m"}}})
    assert found.startswith(says)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("a..org", "hyperhive.network.allow[1]: Invalid host a..org: write a name"),
        ("*.com", "hyperhive.network.allow[1]: Invalid host “*.com”: write a name"),
        ("10.0.0.1", "hyperhive.network.allow[1] is 10.0.0.1, which is not a public"),
        ("[::1]:80", "hyperhive.network.allow[1] is “[::1]:80”, which is not a public"),
    ],
)
def test_a_host_that_nobody_reaches(entry: str, says: str) -> None:
    assert refusal({"hosts": ["a.org", entry]}).startswith(says)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ({"host": "b.org"}, " names b.org:443, which the agent may not reach: add “"),
        ({"host": "a.org:8443"}, " names a.org:8443, which the agent may not reach"),
        ({"host": "10.0.0.1"}, ".host is 10.0.0.1: write one name in lower case"),
        ({"host": "a..org"}, ".host is a..org: write one name in lower case"),
        ({"host": "a.org", "header": "Host"}, ".header is Host, which hive-egress"),
        ({"host": "a.org", "header": "content-length"}, ".header is content-length"),
        ({"host": "a.org", "header": "Proxy-Authorization"}, ".header is Proxy-Auth"),
        (
            {"host": "a.org", "preset": "git", "header": "X-Token"},
            ' has preset = "git", which decides header and format',
        ),
    ],
)
def test_a_secret_that_no_request_would_carry(use: dict[str, str], says: str) -> None:
    secrets = {"X": {"inject": [use]}}
    found = refusal(manifest(model="haiku", hosts=["a.org"], secrets=secrets))
    assert found.startswith(f"hyperhive.secrets.X.inject[0]{says}".replace("“", '"'))


def test_secrets_that_exclude_each_other() -> None:
    one = {"host": "a.org"}
    both = {
        "X": {"inject": [one]},
        "Y": {"inject": [{**one, "header": "AUTHORIZATION"}]},
    }
    found = refusal(manifest(model="haiku", hosts=["a.org"], secrets=both))
    assert "is a second secret in the header AUTHORIZATION for a.org:443" in found
    found = refusal(
        manifest(model="haiku", network=True, secrets={"X": {"inject": [one]}})
    )
    assert "has no effect with hyperhive.network = true" in found


@pytest.mark.parametrize(
    ("secrets", "more", "says"),
    [
        ({"PATH": {"expose": "env"}}, {}, "but the variable PATH is the hive's own"),
        (
            {"LD_AUDIT": {"expose": "env"}},
            {},
            "the variable LD_AUDIT is the hive's own",
        ),
        ({"HTTPS_PROXY": {"expose": "env"}}, {}, "variable HTTPS_PROXY is the hive's"),
        (
            {"X": {"expose": "env"}},
            {"env": {"X": "1"}},
            "hyperhive.secrets.X.expose and hyperhive.env both set the variable X.",
        ),
        (
            {"X": {"expose": "file", "inject": [{"host": "a.org"}]}},
            {"hosts": ["a.org"]},
            "hyperhive.secrets.X has inject and expose: with expose the agent sees",
        ),
    ],
)
def test_a_secret_that_cannot_be_exposed(
    secrets: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    assert says in refusal(manifest(model="haiku", secrets=secrets, **more))


def test_secrets_that_are_exposed() -> None:
    secrets = {"NPM_TOKEN": {"expose": "env"}, "PATH": {"expose": "file"}}
    good = manifest(model="haiku", env={"PATH": "/x", "Y": "1"}, secrets=secrets)
    proposal_checks.check(good, evaluated_at=AT)


def test_secrets_that_requests_carry() -> None:
    uses = [
        {"host": "a.org"},
        {"host": "a.org", "header": "X-Token", "format": "{}"},
        {"host": "git.b.org:8443", "preset": "git"},
    ]
    hosts, secrets = ["a.org", "*.b.org:8443"], {"X": {"inject": uses}, "Y": {}}
    good = manifest(model="haiku", hosts=hosts, secrets=secrets)
    proposal_checks.check(good, evaluated_at=AT)


def test_hosts_that_can_be_reached() -> None:
    hosts = ["a.org", "*.a.org:22", "1.1.1.1", "[2606:4700::1111]:853"]
    proposal_checks.check({"hosts": hosts}, evaluated_at=AT)


def test_a_schedule_that_comes() -> None:
    schedule = {"x": {"at": "Mon..Fri 08:00 Europe/Berlin", "message": "m"}}
    proposal_checks.check({"schedule": schedule}, evaluated_at=AT)


@pytest.mark.parametrize(
    ("tool", "meant"),
    [("Bsh", "Bash"), ("Reed", None), ("Reads", "Read"), ("WebFetsh", "WebFetch")],
)
def test_a_mistyped_tool_is_named(tool: str, meant: str | None) -> None:
    found = {"allowedTools": ["Bash", tool]}
    if meant is None:
        proposal_checks.check(found, evaluated_at=AT)
        return
    said = refusal(found)
    assert said == f"hyperhive.allowedTools[1] is {tool}: did you mean {meant}?"


@pytest.mark.parametrize(
    "tool", ["Bash", "LS", "MultiEdit", "TaskStop", "PowerShell", "REPL", "NewTool"]
)
def test_other_tools_are_for_claude_code_to_know(tool: str) -> None:
    proposal_checks.check({"allowedTools": [tool]}, evaluated_at=AT)
