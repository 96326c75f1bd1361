"""The policy diff: every kind of option in both directions."""

import copy
from typing import Any

import pytest

from checks.kits.host.policy import (
    BEHAVIOUR,
    NARROWS,
    NEUTRAL,
    SCHEMA,
    WIDENS,
    diff,
    manifest,
    one,
    server,
)
from pyglue.api.approvals import Effect
from pyglue.host.policy.diff import diff_policy
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
