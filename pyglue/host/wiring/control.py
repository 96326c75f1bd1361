"""What blocks agents' turns: the operator's controls, money, disk space and memory."""

from dataclasses import dataclass

from pyglue.host.control.accounts import Accounts
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.credit import Credit
from pyglue.host.control.disk_space import Space
from pyglue.host.control.footprint import Footprints
from pyglue.host.control.logins import Logins
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.control.resuming import Resuming
from pyglue.host.control.turns import Turns
from pyglue.host.control.warmth import Warmth
from pyglue.host.model.relay import RelayHub
from pyglue.host.wiring.base import Base
from pyglue.host.wiring.work import Work


@dataclass(frozen=True, kw_only=True)
class Control:
    """The parts that park and resume agents."""

    controls: Controls
    model_choices: ModelChoices
    budgets: Budgets
    turns: Turns
    warmth: Warmth
    space: Space
    footprints: Footprints
    logins: Logins
    resuming: Resuming
    accounts: Accounts


def open_control(base: Base, work: Work) -> Control:
    """Construct the parts and connect them; nothing starts yet."""
    config, store, registry, audit = base.config, base.store, base.registry, base.audit
    transitions, relay = base.transitions, work.relay
    controls = _controls(base)
    budgets = Budgets(
        store=store,
        registry=registry,
        transitions=transitions,
        questions=work.questions,
        controls=controls,
        audit=audit,
        config=config,
    )
    credit = Credit(
        transitions=transitions,
        registry=registry,
        questions=work.questions,
        controls=controls,
        audit=audit,
        config=config.relay,
    )
    relay.listen(credit.works)
    model_choices = _model_choices(base, controls)
    warmth = Warmth(registry=registry, transitions=transitions, config=config.warm)
    footprints = _footprints(base, work, controls)
    space = _space(base, work, controls)
    return Control(
        controls=controls,
        model_choices=model_choices,
        budgets=budgets,
        turns=Turns(
            mailbox=work.broker.mailbox,
            budgets=budgets,
            credit=credit,
            controls=controls,
            model_choices=model_choices,
            warmth=warmth,
            memory_kills=base.backend.memory_kills,
        ),
        warmth=warmth,
        space=space,
        footprints=footprints,
        logins=Logins(
            registry=registry,
            controls=controls,
            config=config.relay,
            relays=relay.pids,
        ),
        resuming=Resuming(
            registry=registry,
            controls=controls,
            budgets=budgets,
            space=space,
            footprints=footprints,
        ),
        accounts=_accounts(base, relay, controls),
    )


def _controls(base: Base) -> Controls:
    return Controls(
        registry=base.registry,
        transitions=base.transitions,
        audit=base.audit,
        limits=base.config.limits,
        models=base.config.catalogue,
        grace_s=base.config.timeouts.drain_s,
        relay=base.config.relay,
    )


def _accounts(base: Base, relay: RelayHub, controls: Controls) -> Accounts:
    return Accounts(
        store=base.store,
        registry=base.registry,
        transitions=base.transitions,
        controls=controls,
        audit=base.audit,
        config=base.config.relay,
        windows_of=relay.windows_of,
        used_up_until=relay.used_up_until,
    )


def _model_choices(base: Base, controls: Controls) -> ModelChoices:
    return ModelChoices(
        registry=base.registry,
        transitions=base.transitions,
        controls=controls,
        audit=base.audit,
        limits=base.config.limits,
        models=base.config.catalogue,
    )


def _footprints(base: Base, work: Work, controls: Controls) -> Footprints:
    return Footprints(
        registry=base.registry,
        transitions=base.transitions,
        broker=work.broker,
        controls=controls,
        layout=base.config.layout,
        quotas=base.config.quotas,
    )


def _space(base: Base, work: Work, controls: Controls) -> Space:
    return Space(
        disk=base.disk,
        store=base.store,
        registry=base.registry,
        transitions=base.transitions,
        broker=work.broker,
        controls=controls,
        audit=base.audit,
    )
