"""An agent's page, and the buttons of its power."""

import pytest

from checks.kits.web.app import Operator, refusing
from pyglue.errors import ErrorCode


def test_an_agent_s_page(operator: Operator) -> None:
    html = operator.get("/agents/alice").text
    assert '<span class="a">allowedTools</span>' in html
    assert "turn 41: ok in 8.2 s" in html
    assert "&#34;model&#34;: &#34;sonnet&#34;" in html
    assert 'data-turns="alice"' in html
    assert 'href="/approvals/6"' in html


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_power(operator: Operator, action: str) -> None:
    answer = operator.post(f"/agents/alice/{action}", {"back": "/agents/alice"})
    assert (answer.status_code, answer.location) == (303, "/agents/alice")
    (params,) = operator.hive.called(action)
    assert params.agent == "alice"


@pytest.mark.parametrize("path", ["/agents/alice/explode", "/agents/alice/"])
def test_other_actions_are_not_found(operator: Operator, path: str) -> None:
    assert operator.post(path).status_code == 404


@pytest.mark.parametrize("name", ["A", "toolongname", "x_y", "..", "a%0ab", "%3Cb%3E"])
def test_what_is_no_name_does_not_reach_hived(operator: Operator, name: str) -> None:
    assert operator.post(f"/agents/{name}/stop").status_code in (400, 404)
    assert not operator.hive.called("stop")


def test_an_agent_s_mail_and_what_it_waits_for(operator: Operator) -> None:
    page = operator.get("/agents/carol").text
    part = operator.get("/fragments/agent/carol/mail").text
    for text in (page, part):
        assert "The build needs a newer compiler." in text
        assert 'href="/#question-4"' in text
        assert 'href="/messages?agent=carol"' in text
    asked = operator.hive.called("messages")
    assert {one.agent for one in asked} == {"carol"}
    assert operator.get("/fragments/agent/nobody/mail").status_code == 404


def test_a_refused_button_leads_back_to_the_agent(operator: Operator) -> None:
    operator.hive.overrides["stop"] = refusing(ErrorCode.CONFLICT, "It stops already.")
    answer = operator.post("/agents/alice/stop")
    assert answer.status_code == 409
    assert 'href="/agents/alice"' in answer.text
