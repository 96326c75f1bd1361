"""Models in the host's configuration: what they replace, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from pyglue.config import (
    Account,
    HiveConfig,
    OperatorLimits,
    RelayConfig,
    dump,
    load,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.policy.operator_limits import allowed_models, model_is_allowed
from pyglue.manifest import proposal_checks
from pyglue.models.catalogue import KNOWN, Tokens
from pyglue.models.configured import ModelConfig, catalogue_of

SOME = Tokens(input=500_000, output=200_000, cache_read=1_000_000, cache_write=100_000)


def own(model: str = "zai/glm-4.6", **fields: Any) -> ModelConfig:
    given = {"input_per_mtok": 0.6, "output_per_mtok": 2.2}
    return ModelConfig(id=model, **{**given, **fields})


def test_a_model_of_the_hive_is_priced_as_the_operator_says() -> None:
    found = catalogue_of({"glm": own(cache_read_per_mtok=0.1)})
    model = found.resolve("glm")
    assert model is not None and model is found.resolve("zai/glm-4.6")
    assert model.cost_usd(SOME) == pytest.approx(0.3 + 0.44 + 0.1 + 0.06)
    assert found.aliases[0] == "glm"
    assert found.resolve("haiku") is KNOWN.resolve("haiku")
    unknown = found.unknown("gpt")
    assert unknown is not None and "glm" in unknown and "zai/glm-4.6" in unknown
    plain = catalogue_of({"glm": own()}).resolve("glm")
    assert plain is not None
    assert plain.cost_usd(SOME) == pytest.approx(0.6 * 1.6 + 0.44)


def test_an_alias_of_ours_takes_its_id_along() -> None:
    """The CLI asks for the id; what it stands for is the hive's own model."""
    found = catalogue_of({"haiku": own()})
    for name in ("haiku", "claude-haiku-5-5", "claude-haiku-5-5-20260101"):
        model = found.resolve(name)
        assert model is not None and model.id == "zai/glm-4.6"
    assert found.small().id == "zai/glm-4.6"
    assert "claude-haiku-5-5" not in {model.id for model in found.models}


def test_an_id_of_ours_is_priced_anew() -> None:
    found = catalogue_of({"cheap": own("claude-sonnet-5-5")})
    names = ("cheap", "sonnet", "claude-sonnet-5-5")
    assert len({id(found.resolve(name)) for name in names}) == 1
    model = found.resolve("sonnet")
    assert model is not None and model.is_own


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"GLM": own()}, "Invalid model alias 'GLM'"),
        ({"": own()}, "Invalid model alias ''"),
        ({"a\n": own()}, "Invalid model alias 'a\\n'"),
        ({"default": own()}, "'default' has another meaning"),
        ({"claude-new": own()}, "'claude-new' has another meaning"),
        ({"a": own("x"), "b": own("x")}, "a and b have the same id x"),
        ({"a": own("b"), "b": own("c")}, "alias b is also the id of a"),
    ],
)
def test_what_cannot_be_an_alias(models: dict[str, ModelConfig], said: str) -> None:
    with pytest.raises(HiveError) as refused:
        catalogue_of(models)
    assert refused.value.code is ErrorCode.CONFIG_INVALID
    assert said in refused.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        '{"id": "a b", "input_per_mtok": 1, "output_per_mtok": 1}',
        '{"id": "a", "input_per_mtok": -1, "output_per_mtok": 1}',
        '{"id": "a", "input_per_mtok": 1}',
        '{"id": "a", "input_per_mtok": 1, "output_per_mtok": 1, "context_window": 9}',
        '{"id": "a", "input_per_mtok": 1, "output_per_mtok": 1, "price": 2}',
    ],
)
def test_a_wrong_field_of_the_file(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "hive.json"
    whole = f'{{"state_dir": "/s", "runtime_dir": "/r", "models": {{"glm": {wrong}}}}}'
    file.write_text(whole)
    with pytest.raises(HiveError) as refused:
        load(file)
    assert refused.value.code is ErrorCode.CONFIG_INVALID


def test_the_file_is_checked_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "hive.json"
    config = HiveConfig(
        state_dir="/s", runtime_dir="/r", models={"best": own("b"), "glm": own()}
    )
    file.write_bytes(dump(config))
    with pytest.raises(HiveError) as refused:
        load(file)
    assert "'best' has another meaning" in refused.value.message


def test_a_proposal_may_name_it_where_it_is() -> None:
    models = catalogue_of({"glm": own()})
    proposal_checks.check({"model": "glm"}, evaluated_at="/hive/a", models=models)
    with pytest.raises(HiveError):
        proposal_checks.check({"model": "glm"}, evaluated_at="/hive/a")


def test_the_operator_s_limits_name_it() -> None:
    models = catalogue_of({"glm": own(), "other": own("o")})
    limits = OperatorLimits(models=("glm",))
    small = models.small().id
    assert allowed_models(("glm",), limits, models=models) == ("zai/glm-4.6", small)
    assert allowed_models(("other",), limits, models=models) == (small,)
    assert model_is_allowed("zai/glm-4.6", limits, resolve=models.resolve)
    assert not model_is_allowed("other", limits, resolve=models.resolve)


def test_two_accounts_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "hive.json"
    relay = RelayConfig(name="team", others={"team": Account()})
    file.write_bytes(dump(HiveConfig(state_dir="/s", runtime_dir="/r", relay=relay)))
    with pytest.raises(HiveError, match="two accounts are called team"):
        load(file)
