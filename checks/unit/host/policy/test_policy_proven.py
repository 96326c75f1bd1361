"""Only changes proven to add no permissions are described as such.

Random manifests that fit the schema are compared. What the diff calls narrowing or
neutral must hold by a rule that is stated here anew, from the meaning of each option.
"""

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.kits.host.policy import MODELS, SCHEMA, diff, manifest
from pyglue.api.approvals import Effect
from pyglue.manifest.record import memory_bytes
from pyglue.text.option_path import option_path

SAFE = (Effect.NARROWS, Effect.NEUTRAL)
WORDS = st.sampled_from(["a", "b", "c", "*"])
LISTS = st.lists(WORDS, max_size=4)
VARIABLES = st.dictionaries(
    st.sampled_from(["PATH", "READONLY", "GIT_ALLOW_PROTOCOL"]), WORDS, max_size=3
)
SIZES = st.sampled_from([None, "1K", "1024K", "1M", "2G"])
SERVERS = st.dictionaries(
    st.sampled_from(["x", "y"]),
    st.fixed_dictionaries(
        {"command": WORDS, "args": LISTS, "env": VARIABLES, "allowedTools": LISTS}
    ),
    max_size=2,
)
SCHEDULES = st.dictionaries(
    st.sampled_from(["x", "y"]),
    st.fixed_dictionaries({"at": WORDS, "message": WORDS}),
    max_size=2,
)
WEBHOOKS = st.dictionaries(
    st.sampled_from(["x", "y"]),
    st.fixed_dictionaries({"kind": WORDS, "secret": WORDS, "events": LISTS}),
    max_size=2,
)
SECRETS = st.dictionaries(
    st.sampled_from(["X", "Y"]),
    st.fixed_dictionaries(
        {
            "inject": st.lists(
                st.fixed_dictionaries(
                    {
                        "host": st.sampled_from(["a.test", "a.test:443", "b.test"]),
                        "preset": st.sampled_from([None, "git"]),
                        "header": st.sampled_from(["Authorization", "X-Token"]),
                        "format": st.sampled_from(["Bearer {}", "{}"]),
                    }
                ),
                max_size=2,
            ),
            "expose": st.sampled_from([None, "env", "file"]),
        }
    ),
    max_size=2,
)
ACCESS = st.sampled_from(["read", "write"])
WORKSPACES = st.dictionaries(
    st.sampled_from(["x", "y"]), st.fixed_dictionaries({"access": ACCESS}), max_size=2
)
NUMBERS = st.none() | st.integers(1, 3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "allowedRecipients": st.none() | LISTS,
    "allowedTools": LISTS,
    "autoCompact": st.none() | st.sampled_from([10_000, 20_000]),
    "bash.allow": st.none() | LISTS,
    "bash.write": st.booleans(),
    "delivery": st.sampled_from(["boundary", "turn"]),
    "description": WORDS,
    "env": VARIABLES,
    "hosts": LISTS,
    "keepWarm": st.integers(0, 2),
    "limits.costPerDayUsd": NUMBERS,
    "limits.cpuQuota": NUMBERS,
    "limits.memoryMax": SIZES,
    "limits.tokensPerDay": NUMBERS,
    "limits.turnsPerHour": NUMBERS,
    "mcpServers": SERVERS,
    "model": st.sampled_from([*MODELS, "mystery"]),
    "network": st.booleans(),
    "notes.maxBytes": st.integers(1024, 1026),
    "prompt": WORDS,
    "schedule": SCHEDULES,
    "secrets": SECRETS,
    "serverTools": LISTS,
    "shared": ACCESS,
    "webhooks": WEBHOOKS,
    "workspaces": WORKSPACES,
}
NAMES = {option_path(path.split(".")): path for path in VALUES}
MANIFESTS = st.fixed_dictionaries(VALUES).map(
    lambda values: manifest(**{k.replace(".", "__"): v for k, v in values.items()})
)


def test_every_option_is_among_the_values() -> None:
    assert {".".join(option.path) for option in SCHEMA.options} == {*VALUES}


@settings(max_examples=400)
@given(before=MANIFESTS, after=MANIFESTS)
def test_no_gain_of_power_is_called_narrowing_or_neutral(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    effects = defaultdict(list)
    for change in diff(before, after):
        effects[about(change.option)].append(change.effect)
    for path in VALUES:
        old, new = at(before, path), at(after, path)
        said = effects[path]
        assert bool(said) == (old != new), path
        if said and all(effect in SAFE for effect in said):
            assert proven(path, old, new), (path, old, new)


def about(option: str) -> str | None:
    """Return which of the values a change is about: the one with the longest name."""
    found = [n for n in NAMES if option == n or option.startswith(f"{n}.")]
    return NAMES[max(found, key=len)] if found else None


def at(tree: dict[str, Any], path: str) -> Any:
    for part in path.split("."):
        tree = tree[part]
    return tree


def proven(path: str, old: Any, new: Any) -> bool:
    """Tell whether ``new`` gives no power that ``old`` does not give."""
    match path:
        case "description":
            return True
        case (
            "allowedTools"
            | "bash.allow"
            | "serverTools"
            | "allowedRecipients"
            | "hosts"
        ):
            return old is None or (new is not None and {*new} <= {*old})
        case "network" | "bash.write":
            return old or not new
        case "model":
            one, other = MODELS.get(old), MODELS.get(new)
            return one is not None and other is not None and other.rank <= one.rank
        case "limits.cpuQuota" | "limits.memoryMax":  # null may be anything
            return None not in (old, new) and size(new) <= size(old)
        case "limits.costPerDayUsd" | "limits.tokensPerDay" | "limits.turnsPerHour":
            return old is None or (new is not None and new <= old)
        case "mcpServers":
            return all(name in old and server(old[name], new[name]) for name in new)
        case "webhooks":
            return all(name in old and webhook(old[name], new[name]) for name in new)
        case "secrets":
            return all(
                name in old
                and uses(new[name]) <= uses(old[name])
                and new[name]["expose"] in (None, old[name]["expose"])
                for name in new
            )
        case "schedule":
            return all(name in old and old[name] == new[name] for name in new)
        case "shared":
            return access(old, new)
        case "workspaces":
            return all(
                name in old and access(old[name]["access"], new[name]["access"])
                for name in new
            )
    return False  # the prompt, variables, what compacts: behaviour at best


def server(old: dict[str, Any], new: dict[str, Any]) -> bool:
    same = all(old[part] == new[part] for part in ("command", "args", "env"))
    tools = "*" in old["allowedTools"] or {*new["allowedTools"]} <= {
        *old["allowedTools"]
    }
    return same and tools


def uses(secret: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return where a secret goes and how, however it is written."""
    return {
        (one["host"].removesuffix(":443"), "git", "git")
        if one["preset"]
        else (one["host"].removesuffix(":443"), one["header"], one["format"])
        for one in secret["inject"]
    }


def access(old: str, new: str) -> bool:
    return old == "write" or new == "read"


def webhook(old: dict[str, Any], new: dict[str, Any]) -> bool:
    same = all(old[part] == new[part] for part in ("kind", "secret"))
    return same and ("*" in old["events"] or {*new["events"]} <= {*old["events"]})


def size(value: int | str) -> int:
    return memory_bytes(value) if isinstance(value, str) else value
