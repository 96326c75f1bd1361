"""Which model an agent uses: its manifest's, or the operator's choice.

A choice is stored and takes effect with the next turn. ``api.operator`` calls this, and
``api.agent`` does when a turn begins.
"""

import time
from dataclasses import dataclass, replace

from pyglue.api.control import ModelStatus, SetModelParams
from pyglue.config import OperatorLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.controls import Controls
from pyglue.host.core.agent import Agent
from pyglue.host.core.audit import Audit
from pyglue.host.core.blocked import model_refused, sentence_of
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.policy.operator_limits import model_is_allowed
from pyglue.models.catalogue import Catalogue


@dataclass(frozen=True, kw_only=True)
class ModelChoices:
    """Sets the operator's choices, and determines the model of each turn."""

    registry: Registry
    transitions: Transitions
    controls: Controls
    audit: Audit
    limits: OperatorLimits
    models: Catalogue

    async def choose(self, params: SetModelParams, by: str) -> ModelStatus:
        """Use another model from the next turn on.

        Raises:
            HiveError: ``not_found``, ``model_not_allowed`` if it is unknown or the
                operator's limits of this hive forbid it.
        """
        agent = self.registry.get(params.agent)
        agent.policy()
        unknown = self.models.unknown(params.model)
        if unknown is not None:
            raise HiveError(ErrorCode.MODEL_NOT_ALLOWED, unknown)
        if not model_is_allowed(params.model, self.limits, resolve=self.models.resolve):
            names = ", ".join(self.limits.models or ()) or "none"
            raise HiveError(
                ErrorCode.MODEL_NOT_ALLOWED,
                f"The operator's limits do not allow {params.model}. Allowed: {names}.",
            )
        return await self._switch(agent, params.model, by)

    async def reset(self, name: str, by: str) -> ModelStatus:
        """Use the manifest's model again.

        Raises:
            HiveError: ``not_found``, ``conflict`` if it is already in use.
        """
        agent = self.registry.get(name)
        if agent.control.model is None:
            raise HiveError(
                ErrorCode.CONFLICT, f"{name} already uses the model of its manifest."
            )
        return await self._switch(agent, None, by)

    async def _switch(self, agent: Agent, model: str | None, by: str) -> ModelStatus:
        data = {"before": agent.model, "model": model}
        self.audit.record(by, "model", agent.name, data)
        now = time.time()
        row = replace(agent.control, model=model, model_at=now, model_by=by)
        refused = model_refused(agent, self.limits, self.models) is not None
        await self.transitions.controlled(agent, row)
        if refused and model_refused(agent, self.limits, self.models) is None:
            self.controls.try_again(agent)
        return self.status(agent)

    def next(self, agent: Agent, asked: str | None = None) -> str:
        """Return the model that the agent's next turn uses.

        Raises:
            HiveError: ``model_not_allowed`` if ``asked`` is a different model, or if
                the operator's limits do not allow the chosen one.
        """
        if asked is not None and not self.models.same(asked, agent.model):
            raise HiveError(
                ErrorCode.MODEL_NOT_ALLOWED,
                f"The next turn of {agent.name} uses {agent.model}, not "
                f"{asked[:100]!a}. Start the turn without naming a model.",
            )
        refused = model_refused(agent, self.limits, self.models)
        if refused is not None:
            raise HiveError(ErrorCode.MODEL_NOT_ALLOWED, sentence_of(refused))
        return agent.model

    def status(self, agent: Agent) -> ModelStatus:
        """Return the model that an agent uses, and the one that it will use next."""
        record = agent.applied or agent.record
        row, wanted = agent.control, agent.model
        active = agent.turn_model or wanted
        return ModelStatus(
            manifest="" if record is None else record.typed.model,
            active=active,
            queued=None if self.models.same(active, wanted) else wanted,
            override=row.model,
            switched_at=row.model_at,
            switched_by=row.model_by,
        )
