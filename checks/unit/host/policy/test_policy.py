"""The policy diff: every kind of option in both directions, and who is told what."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from checks.kits.host.policy import (
    BEHAVIOUR,
    MODELS,
    NARROWS,
    NEUTRAL,
    SCHEMA,
    WIDENS,
    diff,
    manifest,
    one,
    server,
)
from pyglue.api.approvals import Danger, Effect, PolicyChange
from pyglue.config import AgentDefaults, HiveConfig
from pyglue.host.agents.container_limits import defaults_of
from pyglue.host.policy.diff import diff_policy
from pyglue.host.policy.env import power
from pyglue.manifest.schema import Option, Schema
from pyglue.text.option_path import option_path

KINDS = {"none", "behaviour", "change", "add", "enable"} | {
    *("raise", "dearer", "env", "entry", "access", "inject", "expose")
}
USE = {
    "host": "a.org",
    "preset": None,
    "header": "Authorization",
    "format": "Bearer {}",
}
SAME = {**USE, "host": "a.org:443"}
GIT = {**USE, "preset": "git"}
SEALED: dict[str, Any] = {"inject": [], "expose": None}


@pytest.mark.parametrize(
    ("path", "before", "after", "effect", "sentence"),
    [
        # none
        ("description", "", "New", NEUTRAL, "Description changes from nothing to New."),
        # behaviour
        ("prompt", "a", "b" * 99, BEHAVIOUR, "Prompt changes: 99 characters, SHA-256 "),
        ("notes__maxBytes", 2048, 4096, BEHAVIOUR, "from 2048 bytes to 4096 bytes."),
        ("autoCompact", 20000, None, BEHAVIOUR, "20000 tokens to only when it is full"),
        # access
        ("shared", "read", "write", WIDENS, "May now write in /shared, which every"),
        ("shared", "write", "read", NARROWS, "May no longer write in /shared"),
        (
            *("workspaces", {}, {"site": {"access": "read"}}, WIDENS),
            "New workspace site. The agent may read every file",
        ),
        (
            *("workspaces", {"site": {"access": "read"}}),
            *({"site": {"access": "write"}}, WIDENS),
            "Access of the workspace site changes from read to write. It may create, ",
        ),
        (
            *("workspaces", {"site": {"access": "write"}}),
            *({"site": {"access": "read"}}, NARROWS),
            "Access of the workspace site changes from write to read.",
        ),
        (
            *("workspaces", {"site": {"access": "write"}}, {}, NARROWS),
            "Workspace site is removed.",
        ),
        # add
        ("allowedTools", [], ["Bash"], WIDENS, "May now use the tool Bash."),
        (
            *("allowedTools", ["Read"], ["Read", "Edit", "Bash"], WIDENS),
            "May now use the tools Edit and Bash.",
        ),
        (
            *("allowedTools", ["Bash", "Read"], ["Read"], NARROWS),
            "May no longer use the tool Bash.",
        ),
        (
            *("allowedTools", ["Bash"], ["Read"], WIDENS),
            "May now use the tool Read. May no longer use the tool Bash.",
        ),
        ("allowedTools", ["A", "B"], ["B", "A", "B"], NEUTRAL, "with the same meaning"),
        ("bash__allow", [], ["git *"], WIDENS, "May now run the command “git *”."),
        (
            *("allowedRecipients", ["operator", "bob"], None, WIDENS),
            "May now send to anyone (was: operator and bob).",
        ),
        ("allowedRecipients", [], None, WIDENS, "(was: nobody but the manager)."),
        ("allowedRecipients", None, ["bob"], NARROWS, "to only bob (was: anyone)."),
        (
            *("allowedRecipients", None, [], NARROWS),
            "May now send to nobody but the manager (was: anyone).",
        ),
        (
            *("allowedRecipients", ["bob"], [], NARROWS),
            "May no longer send to bob. May now send to nobody but the manager.",
        ),
        (
            *("serverTools", [], ["web_fetch", "web_search"], WIDENS),
            "provider web_fetch and web_search. They reach the internet even",
        ),
        ("serverTools", ["web_fetch"], [], NARROWS, "May no longer use the tool of"),
        # enable
        (
            "network",
            False,
            True,
            WIDENS,
            "The container gets network access: the agent can",
        ),
        ("network", True, False, NARROWS, "The container loses network access."),
        (
            *("hosts", [], ["github.com"], WIDENS),
            "May now reach the host github.com. It can send everything it knows there.",
        ),
        (
            *("secrets", {"X": {"inject": [USE]}}, {"X": {"inject": []}}, NARROWS),
            "Requests to a.org:443 no longer carry X as “Authorization: Bearer {}”.",
        ),
        (
            *("secrets", {"X": {"inject": []}}, {"X": {"inject": [USE]}}, WIDENS),
            "Requests to a.org:443 carry X, which the agent does not see, as “Authoriz",
        ),
        (
            *("secrets", {"X": {"inject": []}}, {"X": {"inject": [GIT]}}, WIDENS),
            "Requests to a.org:443 carry X, which the agent does not see, as Git's pa",
        ),
        (
            *("secrets", {"X": {"inject": [USE]}}, {"X": {"inject": [SAME]}}, NEUTRAL),
            "The uses of X are written differently, and are the same.",
        ),
        (
            *("secrets", {"X": SEALED}, {"X": {**SEALED, "expose": "env"}}, WIDENS),
            "The value of X is in the environment of the agent's programs and MCP ser",
        ),
        (
            *("secrets", {"X": {**SEALED, "expose": "env"}}, {"X": SEALED}, NARROWS),
            "The value of X is no longer in the environment of the agent's programs a",
        ),
        (
            *("secrets", {"X": {**SEALED, "expose": "env"}}),
            *({"X": {**SEALED, "expose": "file"}}, WIDENS),
            "is in the file /run/hive/secrets/X of the agent (was: in the environment",
        ),
        (
            *("hosts", ["a.org", "b.org"], ["a.org"], NARROWS),
            "May no longer reach the host b.org.",
        ),
        (
            *("bash__allow", ["git *"], None, WIDENS),
            "May now run any command in its container, with the shell's whole language",
        ),
        (
            "bash__allow",
            None,
            ["a"],
            NARROWS,
            "May now run only the command a (was: any",
        ),
        ("bash__write", False, True, WIDENS, "May now redirect the output of allowed"),
        ("bash__write", True, False, NARROWS, "May no longer redirect the output"),
        # raise
        (
            *("limits__costPerDayUsd", 1, 5, WIDENS),
            "Daily cost limit raised from $1 to $5.",
        ),
        (
            *("limits__costPerDayUsd", 5, 2.5, NARROWS),
            "Daily cost limit lowered from $5 to $2.5.",
        ),
        (
            *("limits__costPerDayUsd", 5, None, WIDENS),
            "Daily cost limit removed (was: $5): no limit.",
        ),
        (
            *("limits__turnsPerHour", None, 9, NARROWS),
            "Hourly turn limit set to 9 (was: no limit).",
        ),
        ("limits__memoryMax", "512M", "2G", WIDENS, "raised from 512M to 2G."),
        ("limits__memoryMax", "2T", "3G", NARROWS, "lowered from 2T to 3G."),
        ("limits__memoryMax", "1G", "1024M", NEUTRAL, "the same amount."),
        ("limits__memoryMax", None, "9T", WIDENS, "the hive's default may be lower."),
        ("limits__memoryMax", "1K", None, WIDENS, "the hive's default may be higher."),
        ("limits__cpuQuota", 100, 200, WIDENS, "from 100 % of one processor to 200 %"),
        # dearer
        ("model", "small", "big", WIDENS, "from small to big, which costs more."),
        ("model", "big", "small", NARROWS, "from big to small, which costs less."),
        ("model", "small", "other", BEHAVIOUR, "which costs the same."),
        ("model", "small", "small-1", NEUTRAL, "the same model."),
        ("model", "small", "mystery", WIDENS, "the price of mystery is unknown."),
        ("model", "mystery", "small", WIDENS, "the price of mystery is unknown."),
        # env
        ("env", {}, {"A": "b c"}, WIDENS, "Environment variable A set to “b c”."),
        ("env", {"A": "b"}, {"A": "c"}, WIDENS, "A changes to c (was: b)."),
        (
            "env",
            {"A": "b"},
            {},
            WIDENS,
            "A is no longer set (was: b): something that it",
        ),
        (
            "mcpServers",
            {"n": server(env={"READONLY": "1"})},
            {"n": server()},
            WIDENS,
            "READONLY of the MCP server n is no longer set (was: 1): something that it",
        ),
        (
            *("env", {}, {"LD_PRELOAD": "/x.so"}, WIDENS),
            "LD_PRELOAD set to /x.so: it can change the behaviour of every program.",
        ),
        # entry
        (
            *("mcpServers", {}, {"n": server(command="srv", args=["--db", "a b"])}),
            *(WIDENS, "New MCP server n: it runs “srv --db 'a b'”."),
        ),
        (
            *("mcpServers", {"n": server(command="srv")}, {}, NARROWS),
            "MCP server n is removed; it ran “srv”.",
        ),
        (
            *("mcpServers", {"n": server()}, {"n": server(args=["-v"])}, WIDENS),
            "MCP server n now runs “x -v” (was: “x”).",
        ),
        (
            *("mcpServers", {"n": server()}, {"n": server(allowedTools=["q"])}, WIDENS),
            "May now use the tool q of the MCP server n.",
        ),
        (
            *("mcpServers", {"n": server(allowedTools=["*"])}),
            *({"n": server(allowedTools=["q"])}, NARROWS),
            "May now use only the tool q of the MCP server n (was: every tool of",
        ),
        (
            *("mcpServers", {"n": server(allowedTools=["q"])}),
            *({"n": server(allowedTools=["q", "*"])}, WIDENS),
            "May now use every tool of the MCP server n.",
        ),
        (
            *("mcpServers", {"n": server(env={"B": "1"})}),
            *({"n": server(env={"B": "2"})}, WIDENS),
            "Environment variable B of the MCP server n changes to 2 (was: 1).",
        ),
        (
            *("mcpServers", {"n": server()}, {"n": server(toolTimeout=60)}, BEHAVIOUR),
            "Time limit of a tool call of the MCP server n changes from the CLI's",
        ),
    ],
)
def test_each_kind_both_ways(
    path: str, before: object, after: object, effect: Effect, sentence: str
) -> None:
    change = one(path, before, after)
    assert sentence in change.sentence
    assert change.effect == effect
    assert change.option.startswith(option_path(path.split("__")))


def test_models_are_those_of_the_table() -> None:
    (change,) = diff_policy(manifest(model="haiku"), manifest(model="opus"), (), ())
    assert (change.effect, change.option) == (WIDENS, "hyperhive.model")
    (change,) = diff_policy(manifest(model="opus"), manifest(model="haiku"), (), ())
    assert change.effect == NARROWS


def test_every_kind_of_the_schema_is_known_and_tested() -> None:
    options = [*SCHEMA.options]
    for option in SCHEMA.options:
        options.extend(option.inner)
    assert {option.widens for option in options} <= KINDS
    assert all(
        option.words.name or option.words.may or option.words.on for option in options
    )


def test_nothing_changes_nothing_said() -> None:
    full = manifest(env={"A": "b"}, mcpServers={"n": server()}, network=True)
    assert diff(full, copy.deepcopy(full)) == ()


def test_values_are_json_text() -> None:
    change = one("allowedRecipients", ["bob"], None)
    assert (change.before, change.after) == ('["bob"]', "null")
    change = one("env", {}, {"A": "b"})
    assert (change.option, change.before, change.after) == (
        *("hyperhive.env.A", None),
        '"b"',
    )


def test_what_widens_comes_first() -> None:
    changes = diff(
        manifest(network=True, description="a", prompt="x"),
        manifest(network=False, description="b", prompt="y", allowedTools=["Bash"]),
    )
    assert [change.effect for change in changes] == [*Effect]


PATH_SET = (
    "Environment variable PATH of the MCP server n set to /x: it can change the "
    "behaviour of every program."
)


def test_new_server_shows_all_of_it() -> None:
    added = server(
        command="/bin/s", env={"PATH": "/x"}, allowedTools=["a"], args=["-q"]
    )
    changes = diff(manifest(), manifest(mcpServers={"n": added}))
    assert [change.effect for change in changes] == [WIDENS] * 3
    assert [change.sentence for change in changes][:2] == [
        "New MCP server n: it runs “/bin/s -q”.",
        PATH_SET,
    ]
    assert changes[2].sentence == "May now use the tool a of the MCP server n."
    assert [change.danger for change in changes] == ["critical", "critical", "high"]


def test_what_widens_most_comes_first_whatever_it_is_called() -> None:
    changes = diff_policy(
        manifest(),
        manifest(
            model="big",
            network=True,
            allowedTools=["Bash"],
            allowedRecipients=None,
            limits__turnsPerHour=99,
            limits__costPerDayUsd=None,
            env={"LD_PRELOAD": "/x"},
        ),
        (),
        (),
        resolve=MODELS.get,
    )
    widening = [change for change in changes if change.effect is WIDENS]
    dangers = [change.danger for change in widening]
    assert dangers == sorted(dangers, key=tuple(Danger).index)
    worst = {change.option for change in widening if change.danger is Danger.CRITICAL}
    assert {"hyperhive.network", "hyperhive.env.LD_PRELOAD"} <= worst
    assert not any(change.danger for change in changes if change.effect is not WIDENS)


def test_every_option_that_widens_says_how_dangerous_that_is() -> None:
    def walk(options: Iterable[Option]) -> Iterator[Option]:
        for option in options:
            yield option
            yield from walk(option.inner)

    for option in walk(Schema.load().options):
        harmless = option.widens in ("none", "behaviour")
        assert (option.danger is None) == harmless, option.path
        assert harmless or option.danger in set(Danger)


def test_long_command_lines_that_differ_at_the_end_are_told() -> None:
    args = ["x" * 4000]
    change = one(
        "mcpServers",
        {"n": server(args=args)},
        {"n": server(args=[*args, "--evil"])},
    )
    assert change.effect == WIDENS
    assert "--evil" in (change.after or "")


def _about(changes: Iterable[PolicyChange]) -> str:
    """Return what is said of a new agent's defaults."""
    (found,) = [one for one in changes if one.option == "hyperhive"]
    assert found.effect is WIDENS
    return found.sentence


def test_new_agent_is_compared_with_the_defaults_and_told_so() -> None:
    changes = diff(None, manifest(model="big", network=True))
    assert [change.effect for change in changes] == [WIDENS] * 3
    assert [change.danger for change in changes] == ["critical", "high", "medium"]
    about = changes[1].sentence
    assert about.startswith("A new agent, compared with the defaults.")
    assert "it may send to anyone" in about
    assert "it has no daily cost limit" in about
    limited = manifest(allowedRecipients=[], limits__costPerDayUsd=1)
    about = _about(diff(None, limited))
    assert (
        "anyone" not in about and "cost" not in about and "hourly turn limit" in about
    )


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "GIT_SSH"])
@pytest.mark.parametrize("also", ["NODE_OPTIONS", "PYTHONPATH", "HTTPS_PROXY", "HOME"])
def test_dangerous_names_are_explained(name: str, also: str) -> None:
    assert power(name) and power(also)
    assert power("COLOUR") is None


def test_hostile_values_are_shown_on_one_line() -> None:
    change = one("env", {}, {"A": "x\n\x1b[2Jy\u202ez\u2066"})
    assert change.sentence.isprintable()
    assert r"x\n\x1b[2Jy\u202ez\u2066" in change.sentence


def with_defaults(
    before: object, after: object, **defaults: object
) -> tuple[PolicyChange, ...]:
    """Change the memory limit on a hive whose configuration says this."""
    config = HiveConfig(
        state_dir="/s",
        runtime_dir="/r",
        defaults=AgentDefaults(**defaults),  # type: ignore[arg-type]
    )
    return diff_policy(
        None if before == "new" else manifest(limits__memoryMax=before),
        manifest(limits__memoryMax=after),
        *((), ()),
        resolve=MODELS.get,
        defaults=defaults_of(config),
    )


@pytest.mark.parametrize(
    ("before", "after", "effect", "sentence"),
    [
        (None, "1G", NARROWS, "lowered from the hive's default, 2G to 1G."),
        (None, "3G", WIDENS, "raised from the hive's default, 2G to 3G."),
        ("1G", None, WIDENS, "raised from 1G to the hive's default, 2G."),
        ("3G", None, NARROWS, "lowered from 3G to the hive's default, 2G."),
        (None, "2048M", NEUTRAL, "the same amount."),
    ],
)
def test_null_counts_as_the_hives_default(
    before: object, after: object, effect: Effect, sentence: str
) -> None:
    (change,) = with_defaults(before, after, memory_max="2G")
    assert (change.effect, sentence in change.sentence) == (effect, True)


def test_a_default_of_the_hive_makes_a_first_limit_no_narrowing() -> None:
    config = HiveConfig(
        state_dir="/s", runtime_dir="/r", defaults=AgentDefaults(turns_per_hour=5)
    )
    (change,) = diff_policy(
        *(manifest(), manifest(limits__turnsPerHour=99), (), ()),
        resolve=MODELS.get,
        defaults=defaults_of(config),
    )
    assert change.effect == WIDENS and "hive's default, 5 to 99" in change.sentence


def test_a_new_agent_is_told_what_this_hive_leaves_open() -> None:
    about = _about(with_defaults("new", None))
    for what in ("memory limit", "CPU limit", "hourly turn limit", "daily cost limit"):
        assert f"it has no {what}" in about
    about = _about(with_defaults("new", None, memory_max="2G", cpu_quota=100))
    assert "memory" not in about and "CPU" not in about
    assert "/state may grow" in about


def test_a_machine_that_enforces_no_limits_is_told_of() -> None:
    told = _about(diff_policy(None, manifest(), (), (), limits_hold=False))
    assert "limits of memory and CPU are not enforced on this host" in told


LONG = "x" * 30_000


@pytest.mark.parametrize(
    ("path", "one_value", "other"),
    [
        ("env", {"A": f"{LONG}1"}, {"A": f"{LONG}2"}),
        ("env", {"A": "a\nb"}, {"A": "a\\nb"}),
        ("env", {"A": "a\u200bb"}, {"A": "a\\u200bb"}),
        ("env", {"A": "a\ufe0fb"}, {"A": "ab"}),
        ("env", {"A": "a” and “b"}, {"A": "a” and “c"}),
        ("prompt", f"{LONG}1", f"{LONG}2"),
        ("description", f"{'x' * 450}1", f"{'x' * 450}2"),
        (
            "mcpServers",
            {"n": server(args=[LONG, "1"])},
            {"n": server(args=[LONG, "2"])},
        ),
        ("mcpServers", {"n": server(args=["a\nb"])}, {"n": server(args=["a\\nb"])}),
    ],
)
def test_sentences_of_different_values_differ(
    path: str, one_value: object, other: object
) -> None:
    start = {"env": {}, "mcpServers": {"n": server()}}.get(path, "")
    first = one(path, start, one_value).sentence
    assert first != one(path, start, other).sentence
    there, back = one(path, one_value, other), one(path, other, one_value)
    assert there.sentence != back.sentence and len(there.sentence) < 6000
