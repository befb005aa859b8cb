"""Good values of any structure, made from its type alone, to begin changing bytes from."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import inspect

# One of them fits every pattern that a text has to match.
TEXTS: Final = ("osm/roads", "v1", "0" * 64, "0" * 32, "peer", "osm", "a")


def sample(kind: type) -> Any:
    """A value of a type."""
    return msgspec.convert(_plain(inspect.type_info(kind)), kind)


def _plain(info: inspect.Type) -> Any:
    match info:
        case inspect.Metadata():
            return _plain(info.type)
        case inspect.StructType():
            values = {field.encode_name: _plain(field.type) for field in info.fields}
            tagged = {info.tag_field: info.tag} if info.tag_field else {}
            return [*tagged.values(), *values.values()] if info.array_like else tagged | values
        case inspect.IntType():
            return max(info.ge or 0, (info.gt or -1) + 1, 1 if info.le is None or info.le >= 1 else info.le)
        case inspect.FloatType():
            return 1.5 if info.le is None else min(1.5, info.le)
        case inspect.BoolType():
            return True
        case inspect.BytesType():
            return bytes(info.min_length or 0) or b"bytes"[: info.max_length]
        case inspect.StrType():
            fitting = (text for text in TEXTS if re.search(info.pattern or "", text))
            return next(text for text in fitting if (info.min_length or 0) <= len(text) <= (info.max_length or 99))
        case inspect.LiteralType():
            return info.values[0]
        case inspect.UnionType():
            return _plain(next(each for each in info.types if not isinstance(each, inspect.NoneType)))
        case inspect.VarTupleType() | inspect.ListType():
            return [_plain(info.item_type)]
        case inspect.TupleType():
            return [_plain(each) for each in info.item_types]
        case inspect.DictType():
            return {_plain(info.key_type): _plain(info.value_type)}
    return None
