"""Costs of agents: the rate and limit of the hive, budgets, forecasts, sparklines."""

import re

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from pyglue.web.pages.budget import budget
from pyglue.web.pages.sparkline import sparkline

_NOON = 20_000 * 86400.0 + 12 * 3600
_HOURS = (*[0.0] * 22, 0.5, 0.25)

# --- the hive -------------------------------------------------------------------------


def today(operator: Operator, path: str) -> str:
    page = operator.get(path).text
    said = page[page.index('class="today"') :].split("</p>")[0]
    return re.sub("<[^>]*>", "", said)


@pytest.mark.parametrize("path", ["/", "/?q=nobody", "/fragments/today"])
def test_the_hive_s_rate_and_the_limit_of_all(operator: Operator, path: str) -> None:
    operator.hive.agents = [
        data.agent("a", cost_today_usd=1, cost_hour_usd=0.5, cost_limit_usd=4.0),
        data.agent("b", cost_today_usd=2, cost_hour_usd=0.25, cost_limit_usd=6.0),
    ]
    said = today(operator, path)
    assert "Cost today $3.00 · $0.75/h (last 60 min) · limit $10.00 ·" in said
    operator.hive.agents.append(data.agent("c", cost_today_usd=0.0))
    assert "limit" not in today(operator, path)  # c may cost any amount


def test_a_subscription_makes_the_rate_an_estimate(operator: Operator) -> None:
    operator.hive.agents = [data.agent("a", cost_hour_usd=0.5, is_estimate=True)]
    assert "≈ $0.50/h" in today(operator, "/")


# --- one agent ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "limit", "rate", "after_h"),
    [
        (1.0, 5.0, 2.0, 2.0),
        (1.0, 5.0, 0.5, 8.0),
        (1.0, 5.0, 4.0 / 12, None),  # at midnight another day begins
        (1.0, 5.0, 0.0, None),
        (1.0, None, 2.0, None),
        (5.0, 5.0, 2.0, None),
        (6.0, 5.0, 2.0, None),
        (0.0, 0.0, 0.0, None),
    ],
)
def test_a_limit_is_forecast_within_its_day(
    spent: float, limit: float | None, rate: float, after_h: float | None
) -> None:
    costs = {"cost_limit_usd": limit, "cost_hour_usd": rate}
    found = budget(data.agent("a", cost_today_usd=spent, **costs), now=_NOON)
    at = None if after_h is None else _NOON + after_h * 3600
    assert found.reached_at == at
    assert found.is_used_up is (limit is not None and spent >= limit)


@pytest.mark.parametrize(
    ("spent", "limit", "percent"),
    [(1.0, 4.0, 25), (3.999, 4.0, 99), (9.0, 4.0, 100), (1.0, None, 0), (0, 0, 100)],
)
def test_a_budget_is_full_only_when_it_is(
    spent: float, limit: float | None, percent: int
) -> None:
    agent = data.agent("a", cost_today_usd=spent, cost_limit_usd=limit)
    assert budget(agent, now=_NOON).percent == percent


def shown(operator: Operator, **fields: object) -> str:
    operator.hive.agents = [data.agent("a", **fields)]
    page, part = (operator.get(p).text for p in ("/agents/a", "/fragments/agent/a"))
    found = re.search(r'<div data-testid="budget">.*', page)
    assert found and found.group() in part
    return found.group()


def test_an_agent_s_page_has_its_budget(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.web.pages.budget.time.time", lambda: _NOON)
    said = shown(operator, cost_today_usd=1, cost_limit_usd=5.0, cost_hour_usd=2.0)
    assert '<meter class="budget" min="0" max="100" high="80" value="20"' in said
    assert "$1.00 of $5.00" in said
    assert "$2.00/h" in said
    assert 'T14:00:00Z" title="' in said and ">14:00 UTC</time> at this rate" in said
    later = shown(operator, cost_today_usd=1, cost_limit_usd=50.0, cost_hour_usd=2.0)
    assert "reaches" not in later


def test_an_agent_without_a_limit_has_no_bar(operator: Operator) -> None:
    said = shown(operator, cost_today_usd=1, cost_hour_usd=2.0)
    assert "no daily limit" in said and "<meter" not in said


def test_a_limit_that_is_used_up_is_said(operator: Operator) -> None:
    said = shown(operator, cost_today_usd=5.0, cost_limit_usd=5.0, cost_hour_usd=2.0)
    assert "used up until midnight (UTC)" in said and "reaches" not in said


def test_what_a_subscription_pays_is_an_estimate(operator: Operator) -> None:
    fields = {"cost_today_usd": 1, "cost_limit_usd": 5.0, "is_estimate": True}
    said = shown(operator, **fields)
    assert "≈ $1.00 of $5.00" in said and "at list price" in said
    assert "≈" not in shown(operator, **fields | {"is_estimate": False})


# --- a row ---------------------------------------------------------------------------


def test_a_sparkline_says_what_it_shows() -> None:
    found = sparkline(_HOURS)
    assert "<title>Last 24 hours: $0.75, at most $0.50 an hour</title>" in found
    assert 'role="img"' in found
    assert '<path d="M0 16H44V0H46V8H48V16Z"/>' in found


def test_a_sparkline_of_a_subscription_says_that_it_is_an_estimate(
    operator: Operator,
) -> None:
    operator.hive.agents = [data.agent("a", cost_hours=_HOURS, is_estimate=True)]
    said = "Last 24 hours: ≈ $0.75, at most ≈ $0.50 an hour"
    assert said in operator.get("/").text


def test_every_cost_is_seen_however_small() -> None:
    assert "V15H2V0H" in sparkline((0.001, *[10.0] * 22, 0.0))


@pytest.mark.parametrize("hours", [(), (0.0,) * 24])
def test_no_cost_draws_nothing(hours: tuple[float, ...]) -> None:
    assert sparkline(hours) == ""


def test_a_row_has_its_sparkline(operator: Operator) -> None:
    operator.hive.agents = [data.agent("a", cost_hours=_HOURS), data.agent("b")]
    page = operator.get("/").text
    assert page.count('<svg class="spark"') == 1
    assert str(sparkline(_HOURS)) in page


def test_sparklines_cost_no_call(operator: Operator) -> None:
    operator.hive.agents = [data.agent(f"a{n}", cost_hours=_HOURS) for n in range(50)]
    before = len(operator.hive.called("agents")) + len(operator.hive.called("stats"))
    operator.get("/")
    called = len(operator.hive.called("agents")) + len(operator.hive.called("stats"))
    assert called - before == 1
