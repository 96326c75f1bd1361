"""An agent's secrets: what the operator sees, and what the agent gets."""

from typing import Any

from checks.kits.host.policy import manifest
from checks.kits.host.store import Kit
from pyglue.api.secrets import SecretPlace, SecretSetParams
from pyglue.manifest.record import PinnedRecord

SECRETS = {
    "INJECTED": {"inject": [{"host": "a.org"}]},
    "KEPT": {"expose": "file"},
    "SEEN": {"expose": "env"},
    "UNUSED": {},
}


def record() -> PinnedRecord:
    made: dict[str, Any] = manifest(model="haiku", hosts=["a.org"], secrets=SECRETS)
    return PinnedRecord(made, None)


async def test_each_use_is_shown_with_what_it_lacks(kit: Kit) -> None:
    views = await kit.secret_uses.views(record().typed)
    assert [(one.name, one.uses, one.exposed) for one in views] == [
        ("INJECTED", views[0].uses, False),
        ("KEPT", ("In the file /run/hive/secrets/KEPT",), True),
        ("SEEN", ("In the environment of its programs, as SEEN",), True),
        ("UNUSED", (), False),
    ]
    assert views[0].uses[0].startswith("Requests to a.org:443, as ")
    missing = [one.problem for one in views]
    assert missing[3] is None
    assert all("is not set: run `hive secret set" in str(one) for one in missing[:3])


async def test_an_agent_gets_what_it_may_see_and_nothing_else(kit: Kit) -> None:
    agent = await kit.agent("alice")
    object.__setattr__(agent, "record", record())
    object.__setattr__(agent, "applied", record())
    for name, value in (
        ("INJECTED", "injected-1"),
        ("SEEN", "seen-12345"),
        ("KEPT", "kept"),
    ):
        params = SecretSetParams(name=name, value=value)
        await kit.secret_uses.secrets.set(params, "uid 0")
    (one,) = (await kit.secret_uses.exposed_to(agent)).secrets
    assert (one.name, one.place, one.value) == ("SEEN", SecretPlace.ENV, "seen-12345")
    assert "seen-12345" not in repr(one)
    problems = [one.problem for one in await kit.secret_uses.views(record().typed)]
    assert problems[0] is problems[2] is None
    assert "it has 4 bytes, and needs at least 8" in str(problems[1])
    await kit.secret_uses.exposed_to(agent)
    used = [one for one in kit.audited() if one[1] == "secret_used"]
    assert len(used) == 1
    hidden = await kit.secret_uses.hidden_in_files()
    assert hidden[b"seen-12345"] == b"*" * 10
    assert b"injected-1" not in hidden
