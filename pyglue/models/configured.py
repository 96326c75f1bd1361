"""Models that a hive's configuration adds, with their prices.

A gateway offers models that the hive does not know. The operator gives each an alias;
agents use it like any other, and its cost is calculated from the operator's prices. The
host module checks the same (``modules/host/models.nix``).
"""

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from pyglue.errors import ErrorCode, HiveError
from pyglue.models.catalogue import Catalogue, ModelInfo, Prices

_ALIAS: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_RESERVED: Final = frozenset({"best", "default", "inherit", "opusplan"})
"""Names that mean something else to Claude Code, or to ``hive model``."""

_Price = Annotated[float, Meta(ge=0, le=10_000)]


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model of a gateway; prices in US dollars per million tokens.

    Without a price of their own, tokens that fill or come from the cache cost as much
    as others.
    """

    id: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$")]
    input_per_mtok: _Price
    output_per_mtok: _Price
    cache_write_per_mtok: _Price | None = None
    cache_read_per_mtok: _Price | None = None
    context_window: Annotated[int, Meta(ge=16_000, le=1_000_000)] = 200_000


def catalogue_of(models: Mapping[str, ModelConfig]) -> Catalogue:
    """Return the models of a hive, those of its configuration by alias.

    Raises:
        HiveError: ``config_invalid`` for an alias that cannot be one, or an id that
            has two.
    """
    return _catalogue(tuple(models.items()))


@functools.lru_cache(maxsize=8)
def _catalogue(configured: tuple[tuple[str, ModelConfig], ...]) -> Catalogue:
    """Make it once: every policy and every check of a manifest asks for it."""
    models = dict(configured)
    seen: dict[str, str] = {}
    for alias, model in models.items():
        if not _ALIAS.fullmatch(alias):
            raise _invalid(
                f"Invalid model alias {alias[:100]!a}: use at most 63 lowercase "
                "letters, digits and . _ -, beginning with a letter or digit."
            )
        if alias in _RESERVED or alias.startswith("claude-"):
            raise _invalid(
                f"The model alias {alias!a} has another meaning. Choose another name."
            )
        if model.id in seen:
            raise _invalid(
                f"The models {seen[model.id]} and {alias} have the same id "
                f"{model.id}, so its price is unclear. Keep one of them."
            )
        seen[model.id] = alias
    for alias in models:
        if seen.get(alias, alias) != alias:
            raise _invalid(
                f"The model alias {alias} is also the id of {seen[alias]}. Choose "
                "another name."
            )
    return Catalogue.of([_info(alias, model) for alias, model in models.items()])


def _info(alias: str, model: ModelConfig) -> ModelInfo:
    into, out = model.input_per_mtok, model.output_per_mtok
    write, read = model.cache_write_per_mtok, model.cache_read_per_mtok
    write = into if write is None else write
    return ModelInfo(
        id=model.id,
        prices=Prices(
            input=into,
            output=out,
            write_5m=write,
            write_1h=write,
            cache_read=into if read is None else read,
        ),
        context=model.context_window,
        aliases=(alias,),
        is_own=True,
    )


def _invalid(sentence: str) -> HiveError:
    return HiveError(ErrorCode.CONFIG_INVALID, sentence)
