"""The operator's control of a whole hive: emergency stop, models, budgets, crashes."""

import pytest

from checks.kits.cli import run
from checks.kits.host.hive import Hive, script
from checks.kits.host.shared_hive import shared_hive
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams, Effect
from pyglue.api.common import AgentState, NoParams
from pyglue.api.manager import SpawnParams
from pyglue.api.overview import AgentView
from pyglue.api.questions import AnswerParams, QuestionEnd, QuestionView
from pyglue.cli.local.settings import LocalAccounts, LocalCredential, LocalSettings
from pyglue.config import Credential, Timeouts
from pyglue.models.configured import ModelConfig

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]


GLM = ModelConfig(id="zai/glm-4.6", input_per_mtok=500, output_per_mtok=2000)

NOBODY = LocalCredential(Credential.GATEWAY, "key", "http://127.0.0.1:9")
"""An account whose gateway does not listen."""

hive = shared_hive(
    real=("alice", "bob"),
    timeouts=Timeouts(health_s=90.0, drain_s=2.0),
    settings=LocalSettings(models={"glm": GLM}),
    accounts=LocalAccounts(all={"team": NOBODY}),
)


def command(hive: Hive, *words: str) -> tuple[int, str]:
    """Run ``hive`` as the operator types it."""
    socket = hive.local.config.layout.operator_socket
    said = run.typed(*words, "--socket", socket)
    return said.code, said.out + said.err


async def state(hive: Hive, wanted: AgentState) -> AgentView:
    async def look() -> AgentView | None:
        found = await hive.agent("alice")
        return found if found.state is wanted else None

    return await hive.until(look, f"alice {wanted}")


def answer(text: str, **first: object) -> str:
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    return script({**first, **send}, {"text": "done"})


async def test_the_emergency_stop_holds_over_a_crash(hive: Hive) -> None:
    await hive.send("alice", answer("after the stop", sleep=1.5))
    await state(hive, AgentState.THINKING)
    code, said = command(hive, "pause", "--all", "--reason", "fire")
    assert (code, said.split(".")[0]) == (0, "The hive is paused")
    view = await state(hive, AgentState.PAUSED)
    assert "paused the hive: fire" in (view.detail or "")
    assert view.inbox == 1
    await hive.kill_hived()
    view = await state(hive, AgentState.PAUSED)
    assert view.inbox == 1
    pause = (await hive.operator.call(api.STATUS, NoParams())).pause
    assert pause is not None
    assert (pause.by.split(" ")[0], pause.reason) == ("cli", "fire")
    code, said = command(hive, "status")
    assert "paused     by cli uid" in said
    assert said.count("fire") == 1
    code, said = command(hive, "resume", "alice")
    assert code == 1
    assert "whole hive is paused" in said
    code, said = command(hive, "compact", "alice")
    assert (code, "is paused" in said) == (1, True)
    assert command(hive, "resume", "--all")[0] == 0
    await hive.answer("alice", "after the stop")


async def test_one_agent_is_paused_and_the_others_work(hive: Hive) -> None:
    await hive.idle("alice", "manager")
    assert command(hive, "pause", "alice")[0] == 0
    assert (await state(hive, AgentState.PAUSED)).paused
    await hive.send("alice", answer("resumed"))
    await hive.send("manager", answer("not paused"))
    await hive.answer("manager", "not paused")
    assert (await hive.agent("alice")).inbox == 1
    assert command(hive, "resume", "alice")[0] == 0
    await hive.answer("alice", "resumed")


async def test_a_reply_marks_what_it_answers_done(hive: Hive) -> None:
    await hive.send("alice", answer("a report"))
    number = (await hive.answer("alice", "a report")).id

    async def shown(mark: str) -> bool:
        code, said = command(hive, "inbox", "--show", mark)
        assert code == 0
        return f"[{number}] alice" in said

    assert await shown("unread") and not await shown("done")
    words = ("alice", answer("welcome"), "--reply-to", str(number))
    assert command(hive, "send", *words)[0] == 0
    assert await shown("done") and not await shown("open")
    assert command(hive, "inbox", "unread", str(number))[0] == 0
    assert await shown("unread")
    await hive.answer("alice", "welcome")


async def test_another_model_until_it_is_reset(hive: Hive) -> None:
    await hive.idle("alice")
    code, said = command(hive, "model", "alice", "sonnet")
    assert (code, "next turn" in said) == (0, True)
    view = await hive.agent("alice")
    assert view.model_status is not None
    assert view.model_status.queued == "sonnet"
    await hive.send("alice", answer("I am {{model}}"))
    await hive.answer("alice", "I am claude-sonnet")
    await hive.idle("alice")  # else the turn is played again, and joined by the next
    await hive.kill_hived()
    await hive.idle("alice")
    view = await hive.agent("alice")
    assert view.model_status is not None
    assert (view.model_status.active, view.model_status.override) == ("sonnet",) * 2
    assert command(hive, "model", "alice", "--reset")[0] == 0
    await hive.send("alice", answer("now I am {{model}}"))
    await hive.answer("alice", "now I am claude-haiku")
    code, said = command(hive, "model", "alice", "gpt")
    assert (code, "There is no model 'gpt'" in said) == (1, True)


async def test_a_model_of_the_hive_s_own_is_used_and_priced(hive: Hive) -> None:
    nix = '{ hyperhive.model = "glm"; }'
    proposed = await hive.propose("alice", nix)
    asked = ApprovalParams(id=proposed.approval)
    found = await hive.operator.call(api.APPROVAL, asked)
    (change,) = [one for one in found.policy if one.option == "hyperhive.model"]
    assert change.effect is Effect.WIDENS  # it is dearer
    assert (await hive.approve(proposed)).error is None
    await hive.idle("alice")
    before = (await hive.agent("alice")).cost_today_usd
    await hive.send("alice", answer("I am {{model}}"))
    await hive.answer("alice", "I am zai/glm-4.6")
    await hive.idle("alice")
    # Dearer than any model of ours: a request of a thousand tokens costs a dollar.
    assert (await hive.agent("alice")).cost_today_usd - before > 0.5

    async def lately() -> bool | None:
        view = await hive.agent("alice")
        return min(view.cost_hour_usd, sum(view.cost_hours)) > 0.5 or None

    await hive.until(lately, "its cost of the last hours", every=0.2)
    code, said = command(hive, "model", "alice", "haiku")
    assert (code, "next turn" in said) == (0, True)
    assert command(hive, "model", "alice", "--reset")[0] == 0


async def test_another_account_pays_until_it_is_reset(hive: Hive) -> None:
    await hive.idle("alice")
    code, said = command(hive, "account", "alice", "team")
    assert (code, "from its next request on" in said) == (0, True)
    code, said = command(hive, "accounts")
    assert code == 0
    team = next(line for line in said.splitlines() if line.startswith("team"))
    assert "a gateway's token at http://127.0.0.1:9" in team and "alice" in team
    await hive.send("alice", answer("paid by default"))
    await state(hive, AgentState.RETRYING)  # nobody answers there
    assert command(hive, "account", "alice", "--reset")[0] == 0
    await hive.answer("alice", "paid by default")
    code, said = command(hive, "account", "alice", "other")
    assert (code, "There is no account 'other'" in said) == (1, True)


async def test_over_its_budget_it_parks_until_the_operator_says_so(hive: Hive) -> None:
    nix = "{ hyperhive.limits.turnsPerHour = 1; }"
    assert (await hive.approve(await hive.propose("alice", nix))).error is None
    await hive.send("alice", answer("one more"))
    await state(hive, AgentState.OVER_BUDGET)

    async def asked() -> QuestionView | None:
        found = await hive.operator.call(api.QUESTIONS, NoParams())
        mine = [q for q in found.questions if q.asker == "system" and not q.answered_at]
        return mine[0] if mine else None

    question = await hive.until(asked, "the question")
    assert question.question.startswith("alice has used its 1 turns")
    # As many turns as this test has run would need as many answers: one is enough.
    for _ in range(20):
        params = AnswerParams(question=question.id, choices=question.options[:1])
        await hive.operator.call(api.OPERATOR_ANSWER, params)

        async def next_step() -> QuestionView | str | None:
            if any("one more" in m.body for m in await hive.inbox()):
                return "answered"
            return await asked()

        found = await hive.until(next_step, "the answer or another question")
        if not isinstance(found, QuestionView):
            break
        question = found
    await hive.answer("alice", "one more")


async def test_used_up_credit_is_asked_about_until_the_model_answers(
    hive: Hive,
) -> None:
    """The last one: alice's mail waits for credit to the end."""
    nix = "{ hyperhive.limits.turnsPerHour = 1000; }"
    assert (await hive.approve(await hive.propose("alice", nix))).error is None
    other = await hive.operator.call(api.SPAWN, SpawnParams(name="bob"))
    assert (await hive.approve(other)).error is None
    await hive.idle("alice", "bob")
    broke = {"status": 400, "message": "Your credit balance is too low"}
    await hive.send("alice", script(broke))
    view = await state(hive, AgentState.NO_CREDIT)
    assert "The provider's credit is used up" in (view.detail or "")
    assert view.inbox == 1

    async def asked(ended: QuestionEnd | None) -> QuestionView | None:
        found = await hive.operator.call(api.QUESTIONS, NoParams())
        of = "credit of the account default is used up"
        mine = [q for q in found.questions if of in q.question]
        # alice may have tried again meanwhile, and asked anew.
        return next((q for q in mine if q.ended is ended), None)

    question = await hive.until(lambda: asked(None), "the question")
    assert question.question.startswith("alice reports")
    await hive.kill_hived()
    await hive.send("bob", answer("there is credit again"))
    await hive.answer("bob", "there is credit again")
    await hive.until(lambda: asked(QuestionEnd.CANCELLED), "the question withdrawn")
