"""Types of ``pyglue.api`` in words: values, bounds and fields, as Markdown."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect as types


def describe(kind: types.Type) -> str:
    """Say which JSON values a type lets through."""
    match kind:
        case types.Metadata():
            return describe(kind.type)
        case types.UnionType():
            inner = [one for one in kind.types if not isinstance(one, types.NoneType)]
            return f"{', or '.join(map(describe, inner))}, or `null`"
        case types.StructType() | types.EnumType():
            name = kind.cls.__name__
            return f"[{name}](#{name.lower()}-type)"
        case types.VarTupleType():
            most = "" if kind.max_length is None else f" of at most {kind.max_length}"
            return f"list{most}, each: {describe(kind.item_type)}"
        case types.DictType():
            return "object"
        case types.AnyType() | types.RawType():
            return "any JSON value"
        case types.BoolType():
            return "boolean"
        case types.IntType() | types.FloatType():
            word = "integer" if isinstance(kind, types.IntType) else "number"
            return word + between(kind.ge, kind.le, "")
        case types.StrType():
            return "string" + between(kind.min_length, kind.max_length, " characters")
        case types.BytesType():
            return "base64 string" + between(None, kind.max_length, " bytes decoded")
    raise TypeError(f"no words for {kind}")


def between(low: float | None, high: float | None, unit: str) -> str:
    """Say bounds in words."""
    match low, high:
        case None, None:
            return ""
        case None, _:
            return f" of at most {high}{unit}" if unit else f", at most {high}"
        case _, None:
            return f" of at least {low}{unit}" if unit else f", at least {low}"
    return f" of {low} to {high}{unit}" if unit else f" from {low} to {high}"


def named(kind: types.Type) -> Iterator[type[Any]]:
    """Yield the structs and enums that a type is made of, outer ones first."""
    match kind:
        case types.Metadata():
            yield from named(kind.type)
        case types.StructType():
            yield kind.cls
            for field in kind.fields:
                yield from named(field.type)
        case types.EnumType():
            yield kind.cls
        case types.UnionType():
            for one in kind.types:
                yield from named(one)
        case types.VarTupleType():
            yield from named(kind.item_type)


def inside(struct: type[Any]) -> list[type[Any]]:
    """Return the structs and enums inside a struct."""
    return list(named(types.type_info(struct)))[1:]


def meaning(kind: types.Type) -> str:
    """Return what the field's own ``Meta(description=…)`` says, if it has one."""
    match kind:
        case types.Metadata():
            return str((kind.extra_json_schema or {}).get("description", ""))
        case types.UnionType():
            return next(filter(None, map(meaning, kind.types)), "")
    return ""


def paragraphs(text: str | None) -> str:
    """Write a docstring as Markdown: dedented, with single backticks."""
    return inspect.cleandoc(text or "").replace("``", "`")


def fields(struct: type[Any]) -> list[str]:
    """Return a Markdown table of a struct's fields; empty if it has none."""
    shape = types.type_info(struct)
    if not isinstance(shape, types.StructType):
        raise TypeError(f"{struct} is no struct")
    if not shape.fields:
        return []
    told = any(meaning(field.type) for field in shape.fields)
    rows = ["| field | type | default |", "|---|---|---|"]
    if told:
        rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for field in shape.fields:
        default = "required"
        if not field.required:
            default = f"`{msgspec.json.encode(field.default).decode()}`"
        row = f"| `{field.encode_name}` | {describe(field.type)} | {default} |"
        rows.append(f"{row} {meaning(field.type)} |" if told else row)
    return ["\n".join(rows)]


def described(found: Iterable[type[Any]]) -> Iterator[str]:
    """Yield the sections of structs and enums, by name."""
    for one in sorted(found, key=lambda one: one.__name__):
        yield from (f"### {one.__name__} (type)", paragraphs(one.__doc__))
        if issubclass(one, msgspec.Struct):
            yield from fields(one)
        else:
            values = ", ".join(f"`{value.value}`" for value in one)
            yield f"One of: {values}."
