"""Which secrets an agent uses, with values for hive-egress and for the agent itself.

The approved record and the operator's limits decide where a secret may be sent and
which ones an agent may see; hive-egress and harnesses only ask. The audit log records
an agent's first use of a secret on each day (again if hived restarts on that day).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pyglue.api.egress import HeaderLine, InjectParams, InjectResult
from pyglue.api.secrets import ExposedResult, ExposedSecret, SecretPlace, SecretUse
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.core.secrets import Secrets
from pyglue.manifest import exposed_secrets, injected_secrets
from pyglue.manifest.injected_secrets import Injection
from pyglue.manifest.types import Manifest
from pyglue.names import SYSTEM
from pyglue.paths import INSIDE
from pyglue.redaction.redactor import Redactor
from pyglue.text.display import quoted

_PLACES: Final = {
    "env": "In the environment of its programs, as {}",
    "file": f"In the file {INSIDE.secrets}/{{}}",
}


@dataclass(frozen=True, kw_only=True)
class SecretUses:
    """Answers hive-egress, and shows the operator which secrets are used or missing."""

    config: HiveConfig
    registry: Registry
    secrets: Secrets
    audit: Audit
    _used: dict[tuple[str, str], str] = field(default_factory=dict, init=False)

    async def headers(self, params: InjectParams) -> InjectResult:
        """Return the header lines to add to the requests of one connection.

        Raises:
            HiveError: ``forbidden`` if no secret may be sent there; ``not_found``,
                ``unavailable`` or ``bad_request`` if a value is missing or unusable.
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
            self._note(params.agent, one.secret, {"host": str(one.host)})
        return InjectResult(headers=tuple(lines))

    async def exposed_to(self, agent: Agent) -> ExposedResult:
        """Return the secrets that an agent may see; skip missing or invalid values."""
        found = []
        for name, place in exposed_secrets.of(agent.policy().typed).items():
            try:
                value = await self._exposed(name)
            except HiveError:
                continue  # its page and the doctor report it
            self._note(agent.name, name, {"exposed": place})
            found.append(
                ExposedSecret(name=name, place=SecretPlace(place), value=value)
            )
        return ExposedResult(secrets=tuple(found))

    async def hidden_in_files(self) -> dict[bytes, bytes]:
        """Map every form of every value that an agent may see to asterisks."""
        redactor = Redactor()
        for agent in self.registry.all():
            record = agent.applied or agent.record
            for name in () if record is None else exposed_secrets.of(record.typed):
                with contextlib.suppress(HiveError):
                    redactor.learn(name, await self.secrets.value(name))
        return {form: b"*" * len(form) for form, _ in redactor.raw}

    async def _exposed(self, name: str) -> str:
        if not exposed_secrets.allowed(self.config.limits.secrets, name):
            raise HiveError(
                ErrorCode.OPERATOR_LIMIT,
                f"The operator's limits do not let an agent see {name}.",
            )
        value = await self.secrets.value(name)
        exposed_secrets.check_value(name, value)
        return value

    def of(self, manifest: Manifest) -> Iterator[Injection]:
        """Yield the uses in force: none with a network, none beyond the limits."""
        for one in () if manifest.network else injected_secrets.of(manifest):
            if injected_secrets.allowed(self.config.limits.secrets, one):
                yield one

    async def views(self, manifest: Manifest) -> tuple[SecretUse, ...]:
        """Return an agent's secrets, with any problem that prevents their use."""
        uses = list(injected_secrets.of(manifest))
        exposed = exposed_secrets.of(manifest)
        return tuple(
            [
                SecretUse(
                    name=name,
                    uses=(
                        *(
                            f"Requests to {one.host}, {injected_secrets.shown(one.use)}"
                            for one in uses
                            if one.secret == name
                        ),
                        *(
                            _PLACES[place].format(name)
                            for other, place in exposed.items()
                            if other == name
                        ),
                    ),
                    problem=await self._problem(
                        name,
                        [one for one in uses if one.secret == name],
                        exposed=name in exposed,
                    ),
                    exposed=name in exposed,
                )
                for name in sorted(manifest.secrets)
            ]
        )

    async def _problem(
        self, name: str, uses: list[Injection], *, exposed: bool
    ) -> str | None:
        try:
            if exposed:
                await self._exposed(name)
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
            hidden=injected_secrets.forms(value),
        )

    def _note(self, agent: str, name: str, how: dict[str, str]) -> None:
        today = datetime.now(UTC).date().isoformat()
        if self._used.get((agent, name)) != today:
            self._used[agent, name] = today
            self.audit.record(SYSTEM, "secret_used", agent, {"secret": name, **how})
