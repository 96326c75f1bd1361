"""The table of models: names, prices, order."""

import pytest

from pyglue.models import catalogue
from pyglue.models.catalogue import KNOWN, MODELS, Tokens


def known(name: str) -> catalogue.ModelInfo:
    found = KNOWN.resolve(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("haiku", "claude-haiku-5-5"),
        ("sonnet", "claude-sonnet-5-5"),
        ("opus", "claude-opus-5-5"),
        ("fable", "claude-fable-5-2"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
    ],
)
def test_names(name: str, full: str) -> None:
    assert known(name).id == full
    assert known(full).id == full


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Haiku",
        "claude",
        "claude-haiku-4-5-2025100",
        "claude-haiku-4-5-20251001\n",
        "haiku-20251001",
        "claude-haiku-4-5-20251001-20251001",
        "sonnet[1m]",
    ],
)
def test_names_of_nothing(name: str) -> None:
    assert KNOWN.resolve(name) is None


def test_each_name_stands_once() -> None:
    names = [name for model in MODELS for name in (model.id, *model.aliases)]
    assert len(names) == len(set(names))


def test_the_small_model_is_the_cheapest() -> None:
    assert KNOWN.small() == min(MODELS, key=lambda model: model.rank)


@pytest.mark.parametrize(
    ("cheap", "dear"),
    [
        ("haiku", "sonnet"),
        ("sonnet", "opus"),
        ("opus", "fable"),
        ("haiku", "claude-haiku-4-5"),
        ("opus", "claude-opus-4-1"),
    ],
)
def test_order_by_price(cheap: str, dear: str) -> None:
    assert catalogue.dearer(known(dear), known(cheap))
    assert not catalogue.dearer(known(cheap), known(dear))
    assert not catalogue.dearer(known(cheap), known(cheap))


def test_prices_of_each_kind_of_token() -> None:
    million = 1_000_000
    sonnet = known("sonnet")
    assert sonnet.cost_usd(Tokens(input=million)) == pytest.approx(2)
    assert sonnet.cost_usd(Tokens(output=million)) == pytest.approx(10)
    assert sonnet.cost_usd(Tokens(cache_read=million)) == pytest.approx(0.1)
    assert sonnet.cost_usd(Tokens(cache_write=million)) == pytest.approx(2.5)
    hourly = Tokens(cache_write=million, cache_write_1h=million)
    assert sonnet.cost_usd(hourly) == pytest.approx(4)
    half = Tokens(cache_write=million, cache_write_1h=million // 2)
    assert sonnet.cost_usd(half) == pytest.approx(3.25)
    assert sonnet.cost_usd(Tokens(searches=3)) == pytest.approx(0.03)
    assert sonnet.cost_usd(Tokens()) == 0


def test_a_long_prompt_is_dearer() -> None:
    haiku = known("haiku")
    short = Tokens(input=50_000, cache_read=50_000, output=1000)
    long = Tokens(input=50_000, cache_read=50_001, output=1000)
    assert haiku.cost_usd(short) == pytest.approx((5000 + 500 + 500) / 1e6)
    assert haiku.cost_usd(long) == pytest.approx((25_000 + 2500 + 2500) / 1e6, 1e-4)
