"""Decode the metadata of a trace, and trust nothing in it that was not checked."""

from __future__ import annotations

import json
import types
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from ..errors import TraceError
from ..schemas import FORMAT_VERSION, TraceMetadata
from ..schemas.metadata import NOTHING_FILTERED

#: Any integer that a 64-bit field, signed or not, can hold.
_LEAST, _GREATEST = -(1 << 63), (1 << 64) - 1
_IDS = {"pid", "tgid"}


def decode(raw: bytes, name: str) -> TraceMetadata:
    """The metadata in `raw`, JSON; `name` is what messages call the trace.

    Raises TraceError where it isn't JSON, is of a newer format, or a key is missing or of another type.
    Keys that this version doesn't know are kept.
    """
    damaged = "the file is damaged, or another program wrote it; record again"
    try:
        found: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise TraceError(f"{name}: its metadata is not readable JSON ({reason})", damaged) from None
    version = found.get("format_version") if isinstance(found, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT_VERSION:
        raise TraceError(
            f"{name} has format version {version}, and this funcsnoop reads up to {FORMAT_VERSION}",
            "update funcsnoop on this machine to the version that recorded it, or a later one",
        )
    _add_what_came_later(found)
    problem = _problem(found, TraceMetadata, "")
    if problem is None:
        cookies = [function["cookie"] for function in found["functions"]]
        if len(set(cookies)) != len(cookies):
            problem = "functions: two have the same cookie"
    if problem is not None:
        raise TraceError(f"{name}: its metadata is not valid ({problem})", damaged)
    # Without an escape there is no surrogate: JSON in UTF-8 cannot hold one as it is.
    return cast(TraceMetadata, _encodable(found) if b"\\u" in raw else found)


def _add_what_came_later(found: Any) -> None:
    """Earlier recorders had no filters, and said nothing of them."""
    if isinstance(found, dict):
        found.setdefault("events", "sides")
        found.setdefault("filters", NOTHING_FILTERED)
        if isinstance(found.get("counts"), dict):
            found["counts"].setdefault("filtered", {})


def _problem(value: Any, kind: Any, where: str) -> str | None:
    """What is wrong with `value` as a `kind`, or None."""
    origin = get_origin(kind)
    if is_typeddict(kind):
        if not isinstance(value, dict):
            return f"{where or 'all of it'}: not an object"
        for key, inner, check in _keys(kind):
            if key not in value:
                return f"{where}.{key}: missing" if where else f"{key}: missing"
            # Of a function table with a million rows most values are plainly right.
            if type(value[key]) is check:
                continue
            if problem := _problem(value[key], inner, f"{where}.{key}" if where else key):
                return problem
        return None
    if origin in (Union, types.UnionType):
        problems = [_problem(value, option, where) for option in get_args(kind)]
        return None if None in problems else problems[0]
    if origin is Literal:
        return (
            None
            if value in get_args(kind)
            else f"{where}: {str(value)[:40]!r} is not one of {get_args(kind)}"
        )
    if origin is list:
        if not isinstance(value, list):
            return f"{where}: not a list"
        return next(
            (p for i, item in enumerate(value) if (p := _problem(item, get_args(kind)[0], f"{where}[{i}]"))),
            None,
        )
    if origin is dict:
        if not isinstance(value, dict):
            return f"{where}: not an object"
        return next(
            (p for key, item in value.items() if (p := _problem(item, get_args(kind)[1], f"{where}.{key}"))),
            None,
        )
    if kind is int:
        if not isinstance(value, int) or isinstance(value, bool):
            return f"{where}: not an integer"
        return _out_of_range(value, where)
    wanted = type(None) if kind is None else kind
    return None if isinstance(value, wanted) else f"{where}: not a {wanted.__name__}"


@cache
def _keys(kind: Any) -> list[tuple[str, Any, Any]]:
    """Key, type, and the type whose values are all right, of a typed dictionary."""
    return [(key, inner, str if inner is str else None) for key, inner in get_type_hints(kind).items()]


def _out_of_range(value: int, where: str) -> str | None:
    key = where.rpartition(".")[2]
    if key.endswith("_ns"):
        low, high = _LEAST, (1 << 63) - 1
    elif key in _IDS:
        low, high = 0, (1 << 32) - 1
    elif key in ("cookie", "address", "offset", "size", "site", "frame"):
        low, high = 0, _GREATEST
    else:
        low, high = _LEAST, _GREATEST
    return None if low <= value <= high else f"{where}: {str(value)[:30]} is out of range"


def _encodable(value: Any) -> Any:
    """`value` with lone surrogates spelled out, as `\\udcff`.

    They stand for bytes of a path or command that were not UTF-8, and no Arrow string can hold them.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value
