"""How the uses of a secret are compared: in requests, or where the agent sees it.

The kinds ``inject`` and ``expose`` of the policy diff, called by ``kinds``.
"""

from collections.abc import Iterator

from pyglue import strict_json
from pyglue.api.approvals import Effect, PolicyChange
from pyglue.host.policy.words import Difference
from pyglue.manifest import injected_secrets
from pyglue.manifest.types import Inject
from pyglue.paths import INSIDE
from pyglue.strict_json import JsonError
from pyglue.text.display import quoted, visible


def inject(one: Difference) -> Iterator[PolicyChange]:
    """Say which requests carry the secret from now on, and which no longer do."""
    before, after = _uses(one.before), _uses(one.after)
    if before is None or after is None:
        yield one.unjudged()
        return
    name = one.path[-2]
    if {*before} == {*after}:
        sentence = f"The uses of {name} are written differently, and are the same."
        yield one.change(Effect.NEUTRAL, sentence)
    for use in before:
        if use not in after:
            sentence = f"Requests to {use[0]} no longer carry {name} {use[1]}."
            yield one.change(Effect.NARROWS, sentence)
    for use in after:
        if use not in before:
            sentence = f"Requests to {use[0]} carry {name}, which the agent does not "
            yield one.change(Effect.WIDENS, f"{sentence}see, {use[1]}.")


def expose(one: Difference) -> Iterator[PolicyChange]:
    """Say how the agent sees the secret from now on, or that it no longer does."""
    name = one.path[-2]
    places = {
        "env": "in the environment of the agent's programs and MCP servers",
        "file": f"in the file {INSIDE.secrets}/{name} of the agent",
    }
    was, now = places.get(str(one.before)), places.get(str(one.after))
    if now is not None and (was is not None or one.before is None):
        also = f" (was: {was})" if was else ""
        sentence = f"The value of {name} is {now}{also}: the agent sees it."
        yield one.change(Effect.WIDENS, sentence)
    elif one.after is None and was is not None:
        sentence = f"The value of {name} is no longer {was}."
        yield one.change(Effect.NARROWS, sentence)
    else:
        yield one.unjudged()


def _uses(value: object) -> list[tuple[str, str]] | None:
    """Return each host with how it is sent the secret; None if that is not known."""
    try:
        uses = strict_json.convert(value or [], list[Inject])
    except JsonError:
        return None
    found = [(injected_secrets.host_of(use.host), use) for use in uses]
    return [
        (
            quoted(use.host) if host is None else visible(str(host)),
            injected_secrets.shown(use),
        )
        for host, use in found
    ]
