"""The policy diff: every kind of option in both directions, and who is told what."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pyglue.api.approvals import Effect, PolicyChange
from pyglue.config import OperatorLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.policy import check_operator_limits, diff_policy
from pyglue.host.policy_env import power
from pyglue.manifest import PinnedRecord
from pyglue.manifest_schema import Schema

SCHEMA = Schema.load()
KINDS = {"none", "behaviour", "change", "add", "enable"} | {
    *("raise", "dearer", "env", "entry")
}


@dataclass(frozen=True)
class Model:
    id: str
    rank: float


MODELS = {
    "small": Model("small-1", 1),
    "small-1": Model("small-1", 1),
    "other": Model("other-1", 1),
    "big": Model("big-1", 5),
}


def manifest(**paths: object) -> dict[str, Any]:
    """Return the defaults with some options set; ``__`` stands for the dot."""
    found: dict[str, Any] = {}
    for option in SCHEMA.options:
        put(found, option.path, copy.deepcopy(option.default))
    found["model"] = "small"
    for path, value in paths.items():
        put(found, tuple(path.split("__")), value)
    return found


def put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def diff(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    schema: Schema | None = None,
) -> tuple[PolicyChange, ...]:
    return diff_policy(before, after, (), (), resolve=MODELS.get, schema=schema)


def one(path: str, before: object, after: object) -> PolicyChange:
    """Change one option and expect exactly one change said."""
    changes = diff(manifest(**{path: before}), manifest(**{path: after}))
    assert len(changes) == 1, changes
    return changes[0]


def server(**options: object) -> dict[str, Any]:
    return {"command": "x", "args": [], "env": {}, "allowedTools": [], **options}


WIDENS, NARROWS = Effect.WIDENS, Effect.NARROWS
BEHAVIOUR, NEUTRAL = Effect.BEHAVIOUR, Effect.NEUTRAL


@pytest.mark.parametrize(
    ("path", "before", "after", "effect", "sentence"),
    [
        # none
        ("description", "", "New", NEUTRAL, "Description changes from nothing to New."),
        # behaviour
        ("prompt", "a", "b" * 99, BEHAVIOUR, "Prompt changes. The agent may act"),
        ("notes__maxBytes", 2048, 4096, BEHAVIOUR, "from 2048 bytes to 4096 bytes."),
        ("autoCompact", 20000, None, BEHAVIOUR, "20000 tokens to only when it is full"),
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
            "provider web_fetch and web_search. What they do reaches the internet",
        ),
        ("serverTools", ["web_fetch"], [], NARROWS, "May no longer use the tool of"),
        # enable
        ("network", False, True, WIDENS, "The container gets a network: the agent can"),
        ("network", True, False, NARROWS, "The container has no network any more."),
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
            "Limit of turns an hour set to 9 (was: no limit).",
        ),
        ("limits__memoryMax", "512M", "2G", WIDENS, "raised from 512M to 2G."),
        ("limits__memoryMax", "2T", "3G", NARROWS, "lowered from 2T to 3G."),
        ("limits__memoryMax", "1G", "1024M", NEUTRAL, "which is equal."),
        ("limits__memoryMax", None, "9T", WIDENS, "the hive's default may be lower."),
        ("limits__memoryMax", "1K", None, WIDENS, "the hive's default may be higher."),
        ("limits__cpuQuota", 100, 200, WIDENS, "from 100 % of one processor to 200 %"),
        # dearer
        ("model", "small", "big", WIDENS, "from small to big, which costs more."),
        ("model", "big", "small", NARROWS, "from big to small, which costs less."),
        ("model", "small", "other", BEHAVIOUR, "which costs the same."),
        ("model", "small", "small-1", NEUTRAL, "the same model."),
        ("model", "small", "mystery", WIDENS, "the price of mystery is not known."),
        ("model", "mystery", "small", WIDENS, "the price of mystery is not known."),
        # env
        ("env", {}, {"A": "b c"}, WIDENS, "Environment variable A set to “b c”."),
        ("env", {"A": "b"}, {"A": "c"}, WIDENS, "A changes to c (was: b)."),
        ("env", {"A": "b"}, {}, BEHAVIOUR, "A is no longer set (was: b)."),
        (
            *("env", {}, {"LD_PRELOAD": "/x.so"}, WIDENS),
            "LD_PRELOAD set to /x.so: it can change what every program does.",
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
    ],
)
def test_each_kind_both_ways(
    path: str, before: object, after: object, effect: Effect, sentence: str
) -> None:
    change = one(path, before, after)
    assert sentence in change.sentence
    assert change.effect == effect
    assert change.option.startswith("hyperhive." + path.replace("__", "."))


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


def test_new_server_shows_all_of_it() -> None:
    added = server(
        command="/bin/s", env={"PATH": "/x"}, allowedTools=["a"], args=["-q"]
    )
    changes = diff(manifest(), manifest(mcpServers={"n": added}))
    assert [change.effect for change in changes] == [WIDENS] * 3
    assert [change.sentence for change in changes][:2] == [
        "New MCP server n: it runs “/bin/s -q”.",
        "May now use the tool a of the MCP server n.",
    ]
    assert "variable PATH of the MCP server n set to /x: it" in changes[2].sentence


def test_long_command_lines_that_differ_at_the_end_are_told() -> None:
    args = ["x" * 4000]
    change = one(
        "mcpServers",
        {"n": server(args=args)},
        {"n": server(args=[*args, "--evil"])},
    )
    assert change.effect == WIDENS
    assert "--evil" in (change.after or "")


def test_new_agent_is_compared_with_the_defaults_and_told_so() -> None:
    changes = diff(None, manifest(model="big", network=True))
    assert [change.effect for change in changes] == [WIDENS, WIDENS, NEUTRAL]
    about = changes[-1].sentence
    assert about.startswith("A new agent, compared with the defaults.")
    assert "it may send to anyone" in about
    assert "it has no daily cost limit" in about
    limited = manifest(allowedRecipients=[], limits__costPerDayUsd=1)
    about = diff(None, limited)[-1].sentence
    assert "anyone" not in about and "cost" not in about and "turns an hour" in about


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "GIT_SSH"])
@pytest.mark.parametrize("also", ["NODE_OPTIONS", "PYTHONPATH", "HTTPS_PROXY", "HOME"])
def test_dangerous_names_are_explained(name: str, also: str) -> None:
    assert power(name) and power(also)
    assert power("COLOUR") is None


def test_hostile_values_are_shown_on_one_line() -> None:
    change = one("env", {}, {"A": "x\n\x1b[2Jy\u202ez\u2066"})
    assert change.sentence.isprintable()
    assert r"x\n\x1b[2Jy\u202ez\u2066" in change.sentence


# --- options that the code does not know ------------------------------------------


def own_schema(**option: object) -> Schema:
    """Return a schema with one option ``new`` of the given keywords."""
    return Schema({"properties": {"new": {"description": "Sets it. More.", **option}}})


@pytest.mark.parametrize("kind", ["sideways", "change", None])
def test_unknown_kinds_widen_both_ways(kind: str | None) -> None:
    schema = own_schema(**({"x-widens": kind} if kind else {}))
    for before, after in ((1, 2), (2, 1), (1, None), ("a", ["b"]), ({}, {"x": []})):
        changes = diff({"new": before}, {"new": after}, schema=schema)
        assert [change.effect for change in changes] == [WIDENS]
        assert "The option hyperhive.new (Sets it) changes" in changes[0].sentence


@pytest.mark.parametrize(
    ("kind", "before", "after", "effect", "sentence"),
    [
        ("add", ["a"], ["a", "b"], WIDENS, "hyperhive.new (Sets it) now has b."),
        ("add", ["a"], [], NARROWS, "hyperhive.new (Sets it) no longer has a."),
        ("add", ["a"], None, WIDENS, "now has anything (was: a)."),
        ("add", ["a"], [1], WIDENS, "changes from"),
        ("enable", False, True, WIDENS, "hyperhive.new (Sets it) is turned on."),
        ("enable", True, False, NARROWS, "is turned off."),
        ("enable", False, "yes", WIDENS, "is turned on."),
        ("raise", 1, 2, WIDENS, "raised from 1 to 2."),
        ("raise", "1 apple", "2 apples", WIDENS, "changes from"),
        ("raise", 3, None, WIDENS, "removed (was: 3): no limit."),
        ("behaviour", 1, 2, BEHAVIOUR, "changes from 1 to 2."),
        ("none", 1, 2, NEUTRAL, "changes from 1 to 2."),
        ("env", {}, {"A": "1"}, WIDENS, "Entry A set to 1."),
        ("env", {}, ["A"], WIDENS, "changes from"),
        ("entry", {}, {"a": {}}, WIDENS, "New entry of hyperhive.new a."),
        ("entry", {"a": {}}, {}, NARROWS, "Entry of hyperhive.new a is removed."),
        ("entry", {}, 3, WIDENS, "changes from"),
        ("dearer", 1, 2, WIDENS, "is not known"),
    ],
)
def test_an_option_without_words_still_gets_a_sentence(
    kind: str, before: object, after: object, effect: Effect, sentence: str
) -> None:
    schema = own_schema(**{"x-widens": kind})
    changes = diff({"new": before}, {"new": after}, schema=schema)
    assert [change.effect for change in changes] == [effect]
    assert sentence in changes[0].sentence


def test_an_option_that_the_old_manifest_lacks_counts_from_its_default() -> None:
    schema = own_schema(**{"x-widens": "enable", "default": False})
    assert diff({}, {"new": False}, schema=schema) == ()
    assert diff({}, {"new": True}, schema=schema)[0].effect == WIDENS


def test_options_that_only_one_version_knows_widen() -> None:
    old = manifest()
    old["limits"]["gone"] = 3
    changes = diff(old, manifest())
    assert [change.effect for change in changes] == [WIDENS]
    assert changes[0].option == "hyperhive.limits.gone"
    assert "is gone (was: 3)" in changes[0].sentence
    assert diff(manifest(), old)[0].effect == WIDENS


# --- NixOS options ------------------------------------------------------------------


def nixos(
    before: tuple[str, ...],
    after: tuple[str, ...],
    *,
    system_changed: bool | None = True,
) -> tuple[PolicyChange, ...]:
    return diff_policy(
        *(manifest(), manifest(), before, after),
        resolve=MODELS.get,
        system_changed=system_changed,
    )


def test_nixos_option_set_outside_widens() -> None:
    (change,) = nixos((), ("systemd.services.x",))
    assert change.effect == WIDENS
    assert change.option == "systemd.services.x"
    assert "systemd.services.x is set outside hyperhive" in change.sentence


def test_nixos_option_gone_is_told() -> None:
    (change,) = nixos(("systemd.services.x",), ())
    assert change.effect == BEHAVIOUR


def test_nixos_option_kept_may_have_changed_unless_the_system_says_no() -> None:
    kept = ("a.b", "c.d")
    (change,) = nixos(kept, kept)
    assert change.effect == WIDENS and "a.b and c.d" in change.sentence
    (change,) = nixos(kept, kept, system_changed=None)
    assert change.effect == NEUTRAL
    assert nixos(kept, kept, system_changed=False) == ()


# --- the operator's limits ------------------------------------------------------------


def check(limits: OperatorLimits, **paths: object) -> None:
    typed = PinnedRecord(manifest(**paths), None).typed
    check_operator_limits(typed, limits, resolve=MODELS.get)


SHELL = {"command": "bash", "args": [], "env": {}, "allowedTools": []}


@pytest.mark.parametrize(
    ("limits", "paths", "said"),
    [
        ({"models": ("small",)}, {"model": "big"}, "The model big is not one of"),
        ({"models": ()}, {"model": "small"}, "is not one of: none."),
        ({"models": ("small",)}, {"model": "mystery"}, "The model mystery"),
        (
            *({"cost_per_day_usd": 2.0}, {"limits__costPerDayUsd": 2.5}),
            "A daily cost of $2.5 is more than $2.",
        ),
        (
            {"tokens_per_day": 5},
            {"limits__tokensPerDay": 6},
            "6 tokens a day are",
        ),
        (
            {"turns_per_hour": 5},
            {"limits__turnsPerHour": 6},
            "6 turns an hour",
        ),
        ({"memory_max": "1G"}, {"limits__memoryMax": "1025M"}, "Memory of 1025M is"),
        ({"cpu_quota": 100}, {"limits__cpuQuota": 101}, "101 % of a processor are"),
        (
            *({"mcp_commands": ("sqlite",)}, {"mcpServers": {"x": SHELL}}),
            "The MCP server x runs bash, which is not one of: sqlite.",
        ),
        ({"mcp_commands": ()}, {"mcpServers": {"x": SHELL}}, "is not one of: none."),
        ({"network": False}, {"network": True}, "No agent may have a network."),
        ({"network": False}, {"serverTools": ["web_fetch"]}, "reach the internet"),
    ],
)
def test_operator_limits_refuse(
    limits: dict[str, Any], paths: dict[str, object], said: str
) -> None:
    with pytest.raises(HiveError) as caught:
        check(OperatorLimits(**limits), **paths)
    assert caught.value.code == ErrorCode.OPERATOR_LIMIT
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("limits", "paths"),
    [
        ({}, {"model": "mystery", "network": True, "serverTools": ["web_search"]}),
        ({"models": ("small-1",)}, {"model": "small"}),
        ({"models": ("mystery",)}, {"model": "mystery"}),
        ({"cost_per_day_usd": 2.0}, {"limits__costPerDayUsd": 2}),
        ({"cost_per_day_usd": 2.0}, {}),
        ({"memory_max": "1G"}, {"limits__memoryMax": "1024M"}),
        ({"memory_max": "1G", "cpu_quota": 100}, {}),
        ({"cpu_quota": 100}, {"limits__cpuQuota": 100}),
        ({"mcp_commands": ("bash",)}, {"mcpServers": {"x": SHELL}}),
        ({"mcp_commands": ()}, {}),
        ({"network": False}, {}),
    ],
)
def test_operator_limits_let_through(
    limits: dict[str, Any], paths: dict[str, object]
) -> None:
    check(OperatorLimits(**limits), **paths)
