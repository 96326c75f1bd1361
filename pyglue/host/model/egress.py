"""hived's side of hive-egress: agents' sockets, policies, and reported traffic.

Every agent that may reach some hosts but has no network gets an ``egress.sock``. Each
report of hive-egress is emitted as an event, and kept in memory for the agent's page
and the metrics.
"""

import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue import paths
from pyglue.api.common import Done, Role
from pyglue.api.egress import (
    ATTACH,
    INJECT,
    POLICY,
    REPORT,
    AttachedResult,
    AttachParams,
    EgressPolicy,
    HostRecord,
    ReportParams,
)
from pyglue.api.events import HostContacted
from pyglue.api.overview import EgressTotals, HostUse
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.replace import replace_file
from pyglue.host.core.agent import Agent
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.model.hub import Daemon, Hub
from pyglue.jsonrpc import Handlers
from pyglue.manifest.record import PinnedRecord
from pyglue.store import quotas
from pyglue.store.database import Tx
from pyglue.store.quotas import Quota

_HOSTS_MAX: Final = 100
"""Hosts remembered per agent; the least recently seen one is dropped first."""
_Key = tuple[str, int, str | None]


@dataclass
class _Seen:
    hosts: dict[_Key, HostUse] = field(default_factory=dict)
    totals: EgressTotals = field(default_factory=EgressTotals)


@dataclass(kw_only=True)
class EgressHub(Hub[EgressPolicy]):
    """Hands sockets to hive-egress and records its reports."""

    uses: SecretUses
    _authority: str = field(default="", init=False)
    """The certificate of the hive-egress that connected last."""
    _seen: dict[str, _Seen] = field(default_factory=dict, init=False)
    _used_up: dict[str, int] = field(default_factory=dict, init=False)
    """When the traffic quotas of agents that used theirs up reset (Unix time)."""

    async def open(self) -> None:
        """Listen for the daemon, and load which agents used up today's quota."""
        limit = self.config.quotas.egress_mib_per_day
        if limit is not None:
            now = time.time()
            self._used_up = await self.store.read(
                lambda reader: quotas.used_up(reader, Quota.EGRESS, limit, now)
            )
        await super().open()

    def daemon(self) -> Daemon[EgressPolicy]:
        """Return hive-egress."""
        layout, ids = self.config.layout, self.config.ids
        return Daemon(
            name="hive-egress",
            role=Role.EGRESS,
            user=None if ids is None else ids.egress,
            calls=layout.egress_socket,
            sockets=layout.egress_fds_socket,
            agent_socket="egress.sock",
            policy=POLICY,
        )

    def policy(self, agent: Agent, record: PinnedRecord) -> EgressPolicy:
        """Return the hosts that an agent may reach: none if it has a network."""
        until = self._used_up.get(agent.name, 0)
        is_used_up = until > time.time()
        return EgressPolicy(
            agent=agent.name,
            allow=record.typed.hosts if not record.typed.network else (),
            inject=tuple(sorted({str(one.host) for one in self.uses.of(record.typed)})),
            halted=self.registry.halted(agent),
            used_up=self._sentence(agent.name) if is_used_up else None,
            used_up_until=until if is_used_up else 0,
        )

    def _sentence(self, name: str) -> str:
        limit = self.config.quotas.egress_mib_per_day
        return (
            f"{name} has reached its limit of {limit} MiB of traffic with hosts today. "
            "Wait until midnight (UTC), or ask the operator to raise the quota."
        )

    def handlers(self) -> Handlers:
        """Return the handlers of hive-egress's calls."""
        handlers = Handlers()
        handlers.on(ATTACH, self._attach)
        handlers.on(REPORT, self._report)
        handlers.on(INJECT, self.uses.headers)
        return handlers

    def add(self, agent: Agent, record: PinnedRecord) -> None:
        """Create the agent's ``egress.sock``, if ``record`` lets it reach hosts."""
        if self.policy(agent, record).allow:
            super().add(agent, record)
            self._place_authority(agent.name)
        else:
            self.remove(agent.name)

    def remove(self, name: str) -> None:
        """Remove the agent's ``egress.sock``."""
        if name in self.policies:
            super().remove(name)
            self.socket_of(name).unlink(missing_ok=True)
            self._authority_of(name).unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """Forget a destroyed agent and its traffic."""
        self.remove(name)
        self._seen.pop(name, None)

    # --- what agents' programs trust --------------------------------------------------

    def _authority_of(self, name: str) -> Path:
        return self.config.layout.run(name) / Path(paths.INSIDE.authority).name

    def _place_authority(self, name: str) -> None:
        """Write the certificate for an agent with secrets; remove it otherwise.

        It is written before hive-egress gets its answer and so before it serves agents.
        """
        place = self._authority_of(name)
        if not self._authority or not self.policies[name].inject:
            place.unlink(missing_ok=True)
            return
        replace_file(place, self._authority.encode(), mode=0o644)

    # --- what is shown --------------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """A sentence if agents need hive-egress but it is not connected, else None."""
        if not self.policies or self.attached():
            return None
        return (
            "hive-egress is not connected, so agents cannot reach the hosts in their "
            "hyperhive.network.allow."
        )

    def hosts(self, name: str) -> tuple[HostUse, ...]:
        """Return the hosts that an agent requested, the most recent first."""
        seen = self._seen.get(name, _Seen())
        return tuple(reversed(seen.hosts.values()))

    def totals(self, name: str) -> EgressTotals | None:
        """Return the totals of an agent's connections; None if it had none."""
        seen = self._seen.get(name)
        return None if seen is None else seen.totals

    # --- calls ----------------------------------------------------------------------

    async def _attach(self, params: AttachParams) -> AttachedResult:
        self._authority = _certificate(params.authority)
        for name in self.policies:
            self._place_authority(name)
        return AttachedResult(policies=tuple(self.policies.values()))

    async def _report(self, params: ReportParams) -> Done:
        await self._use(params.records)  # first: if it fails, they are reported again
        for record in params.records:
            if self.registry.find(record.agent) is not None:
                self._count(record)
                event = HostContacted(
                    host=record.host,
                    port=record.port,
                    refused=record.refused,
                    connections=record.connections,
                    sent=record.sent,
                    received=record.received,
                )
                self.store.emit(record.agent, event)
        return Done()

    async def _use(self, records: tuple[HostRecord, ...]) -> None:
        """Count bytes towards today's quota."""
        limit = self.config.quotas.egress_mib_per_day
        sums: Counter[str] = Counter()
        for one in records:
            moved = one.sent + one.received
            if moved and self.registry.find(one.agent) is not None:  # it may be purged
                sums[one.agent] += moved
        if limit is None or not sums:
            return

        def count(tx: Tx) -> dict[str, int]:
            for name, amount in sums.items():
                quotas.add(tx, name, Quota.EGRESS, amount)
            return quotas.used_up(tx, Quota.EGRESS, limit, tx.now)

        self._used_up = await self.store.write(count)
        for name in sums:
            agent = self.registry.find(name)
            if agent is not None:
                self.refresh(agent)

    def _count(self, record: HostRecord) -> None:
        seen = self._seen.setdefault(record.agent, _Seen())
        key = (record.host, record.port, record.refused)
        old = seen.hosts.pop(key, HostUse(host=record.host, port=record.port))
        seen.hosts[key] = HostUse(
            host=record.host,
            port=record.port,
            refused=record.refused,
            connections=old.connections + record.connections,
            sent=old.sent + record.sent,
            received=old.received + record.received,
            last_at=time.time(),
        )
        if len(seen.hosts) > _HOSTS_MAX:
            del seen.hosts[next(iter(seen.hosts))]
        seen.totals = _added(seen.totals, record)


def _certificate(pem: str) -> str:
    """Return the certificate in ``pem``, without any surrounding text; "" if empty.

    Raises:
        HiveError: ``bad_request`` unless it is exactly one certificate.
    """
    if not pem:
        return ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem)
        (found,) = context.get_ca_certs(binary_form=True)
    except (ssl.SSLError, ValueError):
        raise HiveError(
            ErrorCode.BAD_REQUEST, "Invalid authority: it must be one PEM certificate."
        ) from None
    return ssl.DER_cert_to_PEM_cert(found)


def _added(totals: EgressTotals, record: HostRecord) -> EgressTotals:
    refused = record.connections if record.refused else 0
    return EgressTotals(
        connected=totals.connected + record.connections - refused,
        refused=totals.refused + refused,
        sent=totals.sent + record.sent,
        received=totals.received + record.received,
    )
