"""Diagnoses problems of this hive, and says how to fix them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pyglue.api.common import AgentState
from pyglue.api.control import Blocked
from pyglue.api.doctor import Check, CheckState, DoctorResult
from pyglue.errors import HiveError
from pyglue.files import disk_space
from pyglue.host.backends.base import Backend
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.control.controls import Controls
from pyglue.host.control.disk_space import Space
from pyglue.host.core.agent import Agent
from pyglue.host.core.blocked import sentence_of
from pyglue.host.core.registry import Registry
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.doctor.repair import Repair
from pyglue.host.messages.webhooks import Webhooks
from pyglue.host.model.egress import EgressHub
from pyglue.host.model.relay import RelayHub
from pyglue.host.watch.notifier import Notifier
from pyglue.host.watch.steps import Steps
from pyglue.nix import Evaluator
from pyglue.store.database import Store

_WORST_FIRST = (CheckState.PROBLEM, CheckState.WARNING, CheckState.OK)


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Checks programs, isolation, relay, disk and agents, and consistency."""

    registry: Registry
    backend: Backend
    relay: RelayHub
    egress: EgressHub
    evaluator: Evaluator
    repair: Repair
    space: Space
    controls: Controls
    steps: Steps
    background_tasks: BackgroundTasks
    store: Store
    state_dir: str
    webhooks: Webhooks
    secret_uses: SecretUses
    notifier: Notifier

    async def examine(self) -> DoctorResult:
        """Run every check."""
        checks = [
            *self._programs(),
            *self._isolation(),
            self._relay_check(),
            self._egress_check(),
            *self._disk(),
            *self._background(),
            *self._agents(),
            *await self._webhooks(),
            *await self._secrets(),
            *self._notifications(),
            *await self._agreement(),
        ]
        checks += self._store()  # includes damage found by the other checks
        checks.sort(key=lambda check: _WORST_FIRST.index(check.state))
        return DoctorResult(checks=tuple(checks))

    def _programs(self) -> list[Check]:
        found = []
        try:
            self.evaluator.check()
            found.append(_ok("nix", "nix-instantiate is installed."))
        except HiveError as error:
            found.append(
                Check(name="nix", state=CheckState.PROBLEM, message=error.message)
            )
        git = shutil.which("git")
        if git is None:
            missing = "git is not installed; install it (Debian: apt install git)."
            found.append(_problem("git", missing))
        else:
            found.append(_ok("git", f"git is at {git}."))
        return found

    def _isolation(self) -> list[Check]:
        warnings = [_warning("isolation", warning) for warning in self.backend.warnings]
        return warnings or [_ok("isolation", self.backend.isolation)]

    def _relay_check(self) -> Check:
        if self.relay.attached():
            return _ok("relay", "hive-relay is connected.")
        return _problem(
            "relay",
            "hive-relay is not connected, so agents cannot reach the model. Start it.",
        )

    def _egress_check(self) -> Check:
        if self.egress.problem is not None:
            return _problem("egress", f"{self.egress.problem} Start it.")
        if self.egress.attached():
            return _ok("egress", "hive-egress is connected.")
        return _ok("egress", "No agent needs hive-egress.")

    def _disk(self) -> list[Check]:
        wrong = [_problem("disk", text) for text in self.space.warnings]
        free = disk_space.free(Path(self.state_dir)).bytes
        text = f"{free // 2**20} MiB are free in the state directory."
        return wrong or [_ok("disk", text)]

    def _background(self) -> list[Check]:
        wrong = [
            _problem("background", text) for text in self.background_tasks.warnings
        ]
        return wrong or [_ok("background", "All background tasks are running.")]

    async def _agreement(self) -> list[Check]:
        try:
            return await self.repair.checks()
        except HiveError as error:
            if self.store.damage is not None:  # reported by its own check
                return []
            return [_problem("consistency", error.message)]

    def _store(self) -> list[Check]:
        if self.store.damage is not None:
            return [_problem("store", self.store.damage)]
        if self.store.warning is not None:
            text = self.store.warning
            return [Check(name="store", state=CheckState.WARNING, message=text)]
        return [_ok("store", "The store is readable.")]

    def _agents(self) -> list[Check]:
        return [
            agent_check(agent, self.controls.blocked(agent), self.steps.late(agent))
            for agent in self.registry.all()
        ]

    def _notifications(self) -> list[Check]:
        notifier = self.notifier
        if not notifier.is_on:
            return []
        if notifier.problem is not None:
            text = (
                f"The newest notification could not be sent: {notifier.problem}. "
                f"{notifier.pending} are pending and will be tried again."
            )
            return [_problem("notifications", text)]
        return [_ok("notifications", "Notifications are sent.")]

    async def _secrets(self) -> list[Check]:
        return [
            _problem(f"secrets of {agent.name}", one.problem)
            for agent in self.registry.all()
            if agent.record is not None
            for one in await self.secret_uses.views(agent.record.typed)
            if one.problem is not None
        ]

    async def _webhooks(self) -> list[Check]:
        checks = []
        for agent in self.registry.all():
            record = agent.record
            if record is None:
                continue
            for one in await self.webhooks.views(agent.name, record.typed):
                if one.problem is not None:
                    text = f"{one.name}: {one.problem}"
                    checks.append(_problem(f"webhooks of {agent.name}", text))
        return checks


def agent_check(agent: Agent, blocked: Blocked | None, late: str | None) -> Check:
    """Return the check of an agent; ``late`` says which of its steps is overdue."""
    name = f"agent {agent.name}"
    if agent.problem is not None:
        return _warning(name, agent.problem)
    if not agent.wanted:
        return _ok(name, f"{agent.name} is {agent.state.value}.")
    if agent.harness is None and agent.state is not AgentState.STARTING:
        down = f"{agent.name} should be running but is {agent.state.value}."
        return _problem(name, down)
    if blocked is not None:
        return _warning(name, sentence_of(blocked))
    if late is not None:
        return _warning(name, late)
    return _ok(name, f"{agent.name} is {agent.state.value}.")


def _ok(name: str, message: str) -> Check:
    return Check(name=name, state=CheckState.OK, message=message)


def _warning(name: str, message: str) -> Check:
    return Check(name=name, state=CheckState.WARNING, message=message)


def _problem(name: str, message: str) -> Check:
    return Check(name=name, state=CheckState.PROBLEM, message=message)
