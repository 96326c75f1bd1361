"""The policy diff as it is read: its order, its dangers, and its sentences."""

from collections.abc import Iterable, Iterator

import pytest

from checks.kits.host.policy import (
    MODELS,
    WIDENS,
    diff,
    manifest,
    one,
    server,
)
from pyglue.api.approvals import Danger, Effect
from pyglue.host.policy.diff import diff_policy
from pyglue.host.policy.env import power
from pyglue.manifest.schema import Option, Schema


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


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "GIT_SSH"])
@pytest.mark.parametrize("also", ["NODE_OPTIONS", "PYTHONPATH", "HTTPS_PROXY", "HOME"])
def test_dangerous_names_are_explained(name: str, also: str) -> None:
    assert power(name) and power(also)
    assert power("COLOUR") is None


def test_hostile_values_are_shown_on_one_line() -> None:
    change = one("env", {}, {"A": "x\n\x1b[2Jy\u202ez\u2066"})
    assert change.sentence.isprintable()
    assert r"x\n\x1b[2Jy\u202ez\u2066" in change.sentence


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
