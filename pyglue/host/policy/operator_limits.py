"""The operator's limits: what no agent may have, whoever approved it.

``changes.evaluation`` asks before a proposal reaches the operator,
``agents.lifecycle`` and ``agents.supervisor`` before every start and before a running
container is adopted, ``model.relay`` whenever it makes the relay's policy. So a lowered
limit also applies to agents approved earlier. Limits that cap a value instead of
refusing it (memory, CPU, budgets) are in ``agents.container_limits`` and
``control.budgets``.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC

from pyglue.clock import calendar_times
from pyglue.config import OperatorLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.policy.env import redirects
from pyglue.host.policy.words import Resolve, capitalised
from pyglue.manifest import exposed_secrets, injected_secrets
from pyglue.manifest.record import memory_bytes
from pyglue.manifest.types import Manifest
from pyglue.models.catalogue import KNOWN, Catalogue
from pyglue.net import hosts
from pyglue.text.display import listed, quoted


def check_operator_limits(
    manifest: Manifest,
    limits: OperatorLimits,
    *,
    resolve: Resolve = KNOWN.resolve,
) -> None:
    """Refuse a manifest that asks for more than this hive's operator allows at all.

    A cost limit of ``null`` is fine: the relay takes the operator's then. Server tools
    count as network, because what they do reaches the internet.

    Raises:
        HiveError: ``operator_limit`` with everything that is too much.
    """
    found = problems(manifest, limits, resolve=resolve)
    if found:
        raise HiveError(
            ErrorCode.OPERATOR_LIMIT,
            f"Not allowed by the operator's limits: {' '.join(found)} Change "
            "agent.nix, or ask the operator.",
            details={"problems": list(found)},
        )


def problems(
    manifest: Manifest,
    limits: OperatorLimits,
    *,
    resolve: Resolve = KNOWN.resolve,
) -> tuple[str, ...]:
    """Return a sentence for each limit that a manifest exceeds."""
    return (
        *_model_limit(manifest, limits, resolve),
        *_cost_limit(manifest, limits),
        *_count_limits(manifest, limits),
        *_container_limits(manifest, limits),
        *_command_limit(manifest, limits),
        *_shell_limit(manifest, limits),
        *_network_limit(manifest, limits),
        *_secrets_limit(manifest, limits),
        *_files_limit(manifest, limits),
        *_schedule_limit(manifest, limits),
        *_webhook_limit(manifest, limits),
    )


def blocked(
    manifest: Manifest, limits: OperatorLimits, *, resolve: Resolve = KNOWN.resolve
) -> str | None:
    """Return why an agent that was approved may not run now, None if it may.

    Amounts block nothing: the container and the relay get the lower of the agent's
    and the operator's.
    """
    found = (
        *_model_limit(manifest, limits, resolve),
        *_command_limit(manifest, limits),
        *_shell_limit(manifest, limits),
        *_network_limit(manifest, limits),
        *_secrets_limit(manifest, limits),
        *_files_limit(manifest, limits),
    )
    if not found:
        return None
    return (
        f"Parked by the operator's limits: {' '.join(found)} Deploy an agent.nix that "
        "respects them, or change the limits; the agent then starts again."
    )


def allowed_models(
    names: tuple[str, ...], limits: OperatorLimits, *, models: Catalogue = KNOWN
) -> tuple[str, ...]:
    """Return the full ids that the relay lets an agent ask for.

    ``names`` are the models of its manifest and of the operator's choice. One that the
    limits do not allow is left out. The CLI's own small model is always among them:
    without it no turn works.
    """
    found = [
        models.resolve(name)
        for name in names
        if model_is_allowed(name, limits, resolve=models.resolve)
    ]
    ids = [model.id for model in found if model is not None]
    return tuple(dict.fromkeys([*ids, models.small().id]))


def model_is_allowed(
    model: str, limits: OperatorLimits, *, resolve: Resolve = KNOWN.resolve
) -> bool:
    """Return whether the operator's limits allow a model."""
    if limits.models is None:
        return True
    found = resolve(model)
    wanted = found.id if found is not None else model
    allowed = [resolve(name) for name in limits.models]
    ids = {known.id for known in allowed if known is not None} | set(limits.models)
    return wanted in ids


def _model_limit(
    manifest: Manifest, limits: OperatorLimits, resolve: Resolve
) -> Iterator[str]:
    if limits.models is not None and not model_is_allowed(
        manifest.model, limits, resolve=resolve
    ):
        names = listed(map(quoted, limits.models)) or "none"
        yield f"The model {quoted(manifest.model)} is not allowed; allowed: {names}."


def _cost_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    asked, most = manifest.limits.cost_per_day_usd, limits.cost_per_day_usd
    if asked is not None and most is not None and asked > most:
        yield f"A daily cost of ${asked:g} exceeds the limit of ${most:g}."


def _count_limits(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    """As the cost: ``null`` is fine, the operator's limit holds then."""
    own = manifest.limits
    for asked, most, what in (
        (own.tokens_per_day, limits.tokens_per_day, "tokens a day"),
        (own.turns_per_hour, limits.turns_per_hour, "turns an hour"),
    ):
        if asked is not None and most is not None and asked > most:
            yield f"{asked} {what} exceed the limit of {most}."


def _container_limits(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    """As the cost: ``null`` is fine, the container gets the operator's limit then."""
    asked, most = manifest.limits.memory_max, limits.memory_max
    if asked and most and memory_bytes(asked) > memory_bytes(most):
        yield f"Memory of {asked} exceeds the limit of {most}."
    cpu, cpu_most = manifest.limits.cpu_quota, limits.cpu_quota
    if cpu is not None and cpu_most is not None and cpu > cpu_most:
        yield f"A CPU quota of {cpu} % exceeds the limit of {cpu_most} %."


def _command_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    """Hold MCP servers to programs: by path, and by nothing that swaps their code."""
    if limits.mcp_commands is None:
        return
    for name, server in sorted(manifest.mcp_servers.items()):
        what = f"The MCP server {quoted(name)}"
        if server.command not in limits.mcp_commands:
            names = listed(map(quoted, limits.mcp_commands)) or "none"
            yield (
                f"{what} runs {quoted(server.command)}, which is not allowed; "
                f"allowed: {names}."
            )
        elif not server.command.startswith("/"):
            yield (
                f"{what} runs {quoted(server.command)} by name, so the agent's PATH "
                "decides which program runs: use its absolute path, in agent.nix and "
                "in the limit."
            )
        yield from _redirected(f"{what} sets", server.env)
    if manifest.mcp_servers:
        yield from _redirected(
            "The agent's env, which its MCP servers get, sets", manifest.env
        )


def _redirected(who: str, env: Mapping[str, str]) -> Iterator[str]:
    names = sorted(name for name in env if redirects(name))
    if names:
        yield (
            f"{who} {listed(names)}, which can make an allowed program run other code."
        )


def _shell_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    if manifest.bash.allow is None and not limits.any_command:
        yield (
            "Agents may not run any command they like (limits.anyCommand): list "
            "patterns in hyperhive.bash.allow instead of null."
        )


def _files_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    for name, workspace in sorted(manifest.workspaces.items()):
        if limits.workspaces == "none":
            yield f"The workspace {quoted(name)} is not allowed; no agent may have one."
        elif limits.workspaces == "read" and workspace.access == "write":
            yield f"The workspace {quoted(name)} may only be read, not written."
    if limits.shared == "read" and manifest.shared == "write":
        yield "No agent may write in /shared; hyperhive.shared must be read."


def _schedule_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    for name, one in sorted(manifest.schedule.items()):
        try:
            least_s = calendar_times.parse(one.at, UTC).least_s
        except HiveError:
            continue  # said by proposal_checks
        if least_s < limits.schedule_minutes * 60:
            yield (
                f"The schedule {quoted(name)} ({quoted(one.at)}) has times {least_s} s "
                f"apart; the least is {limits.schedule_minutes} minutes."
            )


def _webhook_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    if manifest.webhooks and not limits.webhooks:
        yield "Webhooks are disabled by the operator's limits."


def _secrets_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    if limits.secrets is None:
        return
    for one in injected_secrets.of(manifest):
        if not injected_secrets.allowed(limits.secrets, one):
            names = listed(map(quoted, limits.secrets.get(one.secret, ()))) or "none"
            yield (
                f"Requests to {one.host} may not carry {one.secret}; hosts that may "
                f"be sent it: {names}."
            )
    for name in exposed_secrets.of(manifest):
        if not exposed_secrets.allowed(limits.secrets, name):
            yield (
                f"{name} may not be exposed to an agent: the operator's limits must "
                f'let it go anywhere ({name} = [ "*" ]).'
            )


def _network_limit(manifest: Manifest, limits: OperatorLimits) -> Iterator[str]:
    if limits.network is True:
        return
    if manifest.network and limits.hosts:
        yield (
            "A network of its own is not allowed by the operator's limits: list hosts "
            "in hyperhive.network.allow instead."
        )
    elif manifest.network:
        yield "Network access is disabled by the operator's limits."
    allowed = [hosts.parse(entry) for entry in limits.hosts]
    beyond = [
        entry
        for entry in manifest.hosts
        if not any(one.covers(hosts.parse(entry)) for one in allowed)
    ]
    if beyond:
        names = listed(map(quoted, limits.hosts)) or "none"
        asked = listed(map(quoted, beyond))
        yield f"The agent may not reach {asked}; allowed: {names}."
    if manifest.server_tools:
        tools = capitalised(listed(manifest.server_tools))
        yield f"{tools} would give the agent access to the internet."
