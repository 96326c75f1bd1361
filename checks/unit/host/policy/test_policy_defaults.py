"""The policy diff of new agents, and of what the hive's own defaults fill in."""

from collections.abc import Iterable

import pytest

from checks.kits.host.policy import (
    MODELS,
    NARROWS,
    NEUTRAL,
    WIDENS,
    diff,
    manifest,
)
from pyglue.api.approvals import Effect, PolicyChange
from pyglue.config import AgentDefaults, HiveConfig
from pyglue.host.agents.container_limits import defaults_of
from pyglue.host.policy.diff import diff_policy


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
