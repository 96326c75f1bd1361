"""The policy diff of options that the code does not know: new ones, and NixOS's."""

import pytest

from checks.kits.host.policy import (
    BEHAVIOUR,
    MODELS,
    NARROWS,
    NEUTRAL,
    WIDENS,
    diff,
    manifest,
)
from pyglue.api.approvals import Effect, PolicyChange
from pyglue.host.policy.diff import diff_policy
from pyglue.host.policy.system import SystemChange
from pyglue.manifest.schema import Schema


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
        ("enable", False, True, WIDENS, "hyperhive.new (Sets it) is enabled."),
        ("enable", True, False, NARROWS, "is disabled."),
        ("enable", False, "yes", WIDENS, "is enabled."),
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
        ("dearer", 1, 2, WIDENS, "is unknown"),
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
    assert "is removed (was: 3)" in changes[0].sentence
    assert diff(manifest(), old)[0].effect == WIDENS


# --- NixOS options ------------------------------------------------------------------
def nixos(
    before: tuple[str, ...],
    after: tuple[str, ...],
    *,
    system: SystemChange | None = SystemChange(changed=True),  # noqa: B008 (frozen)
) -> tuple[PolicyChange, ...]:
    return diff_policy(
        *(manifest(), manifest(), before, after),
        resolve=MODELS.get,
        system=system,
    )


def test_nixos_option_set_outside_widens() -> None:
    (change,) = nixos((), ("systemd.services.x",))
    assert change.effect == WIDENS
    assert change.option == "systemd.services.x"
    assert "systemd.services.x is set outside hyperhive" in change.sentence


def test_nixos_option_gone_is_told() -> None:
    (change,) = nixos(("systemd.services.x",), ())
    assert change.effect == WIDENS and "no longer set" in change.sentence


def test_what_a_hive_without_nixos_ignores_is_said_as_ignored() -> None:
    for before, after, what in (
        ((), ("a.b", "assertions"), "Set outside hyperhive: a.b and assertions."),
        (("a.b",), (), "No longer set outside hyperhive: a.b."),
        (("a.b",), ("a.b",), "Still set outside hyperhive: a.b."),
    ):
        (change,) = nixos(before, after, system=None)
        assert change.effect == NEUTRAL
        assert change.sentence.startswith(what)
        assert "so this has no effect" in change.sentence
        assert "can change anything" not in change.sentence


def test_nixos_option_kept_may_have_changed_unless_the_system_says_no() -> None:
    kept = ("a.b", "c.d")
    (change,) = nixos(kept, kept)
    assert change.effect == WIDENS and "a.b and c.d" in change.sentence
    (change,) = nixos(kept, kept, system=None)
    assert change.effect == NEUTRAL
    assert nixos(kept, kept, system=SystemChange(changed=False)) == ()


def test_a_system_that_changes_without_a_reason_widens() -> None:
    (change,) = nixos((), (), system=SystemChange(changed=True, derivations=3))
    assert change.effect == WIDENS
    assert "in 3 derivations that no listed option explains" in change.sentence
    (change,) = nixos((), (), system=SystemChange(changed=True, derivations=1))
    assert "in 1 derivation that" in change.sentence
    assert nixos((), (), system=SystemChange(changed=False)) == ()
    assert nixos((), (), system=SystemChange(changed=True, first=True)) == ()
    assert nixos((), (), system=None) == ()


def test_another_nixpkgs_or_hive_explains_a_system_and_is_told() -> None:
    system = SystemChange(changed=True, derivations=3, host_changed=True)
    (change,) = nixos((), (), system=system)
    assert change.effect == BEHAVIOUR
    assert "a different nixpkgs or hive" in change.sentence


def test_an_option_of_the_manifest_that_systems_are_made_from_explains_one() -> None:
    system = SystemChange(changed=True, derivations=3, depends_on=("network",))
    before, after = manifest(network=True), manifest(network=False)
    changes = diff_policy(before, after, (), (), resolve=MODELS.get, system=system)
    assert [change.effect for change in changes] == [NARROWS]
    same = diff_policy(before, before, (), (), resolve=MODELS.get, system=system)
    assert [change.effect for change in same] == [WIDENS]
