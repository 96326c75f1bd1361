"""Which secrets an agent's requests carry, and their values for hive-egress.

What may be sent where is the approved record's to say, and the operator's limits';
hive-egress only asks. The first use of a secret by an agent on a day is in the audit
log (again if hived was started anew on that day).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyglue import hosts, injections
from pyglue.api.egress import HeaderLine, InjectParams, InjectResult
from pyglue.api.secrets import SecretUse
from pyglue.config import HiveConfig
from pyglue.display import quoted
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.core.secrets import Secrets
from pyglue.injections import Injection
from pyglue.manifest_types import Manifest
from pyglue.names import SYSTEM


@dataclass(frozen=True, kw_only=True)
class SecretUses:
    """Answers hive-egress, and tells the operator what is used and what is missing."""

    config: HiveConfig
    registry: Registry
    secrets: Secrets
    audit: Audit
    _used: dict[tuple[str, str], str] = field(default_factory=dict, init=False)

    async def headers(self, params: InjectParams) -> InjectResult:
        """Return what the requests of one connection carry.

        Raises:
            HiveError: ``forbidden`` if nothing is to be sent there; ``not_found``,
                ``unavailable`` or ``bad_request`` if a value is missing or of no use.
        """
        agent = self.registry.find(params.agent)
        found = [] if agent is None else list(self.of(agent.policy().typed))
        found = [
            one
            for one in found
            if (one.host.name, one.host.port) == (params.host, params.port)
        ]
        if not found:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                f"No request of {quoted(params.agent)} to {quoted(params.host)} "
                "carries a secret.",
            )
        lines = [await self._line(one) for one in found]
        for one in found:
            self._note(params.agent, one)
        return InjectResult(headers=tuple(lines))

    def of(self, manifest: Manifest) -> Iterator[Injection]:
        """Yield the uses that hold: none with a network, and none beyond the limits."""
        limits = self.config.limits.secrets
        for one in () if manifest.network else injections.of(manifest):
            if limits is None or hosts.allows(limits.get(one.secret, ()), one.host):
                yield one

    async def views(self, manifest: Manifest) -> tuple[SecretUse, ...]:
        """Return an agent's secrets, with what keeps one from working."""
        uses = list(injections.of(manifest))
        return tuple(
            [
                SecretUse(
                    name=name,
                    uses=tuple(
                        f"Requests to {one.host}, {injections.shown(one.use)}"
                        for one in uses
                        if one.secret == name
                    ),
                    problem=await self._problem(
                        [one for one in uses if one.secret == name]
                    ),
                )
                for name in sorted(manifest.secrets)
            ]
        )

    async def _problem(self, uses: list[Injection]) -> str | None:
        try:
            for one in uses:
                await self._line(one)
        except HiveError as error:
            return error.message
        return None

    async def _line(self, one: Injection) -> HeaderLine:
        value = await self.secrets.value(one.secret)
        return HeaderLine(
            name=one.use.header.lower(),
            value=one.line(value),
            hidden=injections.forms(value),
        )

    def _note(self, agent: str, one: Injection) -> None:
        today = datetime.now(UTC).date().isoformat()
        if self._used.get((agent, one.secret)) != today:
            self._used[agent, one.secret] = today
            data = {"secret": one.secret, "host": str(one.host)}
            self.audit.record(SYSTEM, "secret_used", agent, data)
