"""An agent's page, and the buttons of its power."""

import pytest

from checks.web_kit import Operator


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
