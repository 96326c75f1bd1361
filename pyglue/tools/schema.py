"""The JSON schema of a tool's arguments, generated from the struct that hived decodes.

Types, limits, defaults and descriptions are those of the struct's fields, so a schema
describes exactly what is accepted. Models and their clients get it flat: no references,
no ``null`` for optional fields, no fields that only programs send.
"""

from typing import Any, Final

import msgspec

from pyglue.api.common import NOT_FOR_MODELS, Params

Schema = dict[str, Any]

_NULL: Final = {"type": "null"}
_NO_DEFAULTS: Final = (None, "", ())
"""Defaults of optional fields that are not worth a model's attention."""


def schema_of(params: type[Params], *, offered: frozenset[str] = frozenset()) -> Schema:
    """Return the schema of ``params`` for models.

    Of the hidden fields, it only has those in ``offered``.
    """
    _, parts = msgspec.json.schema_components([params], ref_template="{name}")
    outer = parts[params.__name__]
    return {
        "type": "object",
        "properties": {
            name: _flat(field, parts)
            for name, field in outer["properties"].items()
            if name not in hidden(params) - offered
        },
        "required": list(outer["required"]),
        "additionalProperties": False,
    }


def hidden(params: type[Params]) -> frozenset[str]:
    """Return the fields that tools do not offer by default."""
    _, parts = msgspec.json.schema_components([params], ref_template="{name}")
    fields = parts[params.__name__]["properties"].items()
    return frozenset(name for name, field in fields if _is_hidden(field))


def _is_hidden(field: Schema) -> bool:
    return NOT_FOR_MODELS in field or any(map(_is_hidden, field.get("anyOf", ())))


def _flat(node: Schema, parts: dict[str, Schema]) -> Schema:
    """Return a schema without references, names of types, and null."""
    if "$ref" in node:
        rest = {name: value for name, value in node.items() if name != "$ref"}
        return _flat({**parts[node["$ref"]], **rest}, parts)
    kinds = [kind for kind in node.get("anyOf", ()) if kind != _NULL]
    flat = {
        name: value
        for name, value in node.items()
        if name not in ("anyOf", "title", NOT_FOR_MODELS)
        and not (name == "default" and value in _NO_DEFAULTS)
    }
    if len(kinds) == 1:
        flat = {**_flat(kinds[0], parts), **flat}
    elif kinds:
        flat["anyOf"] = [_flat(kind, parts) for kind in kinds]
    if "properties" in flat:
        fields = flat["properties"].items()
        flat["properties"] = {name: _flat(field, parts) for name, field in fields}
    if "items" in flat:
        flat["items"] = _flat(flat["items"], parts)
    if "enum" in flat:
        flat.setdefault("type", "string")
    return flat
