"""Reads JSON that others may have written: each value is checked against a type hint.

A run folder, a storage and a checkpoint come from anywhere. Whatever their files hold, a reader
gets values of the types that it asked for, or a ValueError.
"""

import dataclasses
import enum
import functools
import json
import types
import typing
from typing import Any

from model.system.files import is_utf8

LARGEST_FLOAT = 1e100
"""No number of ours is as large, and sums of such numbers stay finite."""
_LARGEST = 2**63
"""No whole number of ours is as large, and a table's column holds none."""
_MAX_DEPTH = 100
"""Deeper values are not copied or written again within Python's limit of recursion."""


def parsed(content: str | bytes, hint: Any, name: str) -> Any:
    """Return a JSON document as a type hint has it.

    Args:
        content: The document.
        hint: See `checked`.
        name: What it is, for the message.

    Raises:
        ValueError: It is no JSON, could not be written again, or a value of it has another type.
    """
    try:
        values = json.loads(content)
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    _check_writable(values, name)
    return checked(values, hint, name)


def _check_writable(document: Any, name: str) -> None:
    r"""Refuse what JSON can say and no file of ours can: `"\ud800"`, half of a character, for one.

    Raises:
        ValueError: A text has such a half, or values are nested too deeply.
    """
    level = [document]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str) and not is_utf8(value):
                raise ValueError(f"{name} must hold whole characters, got {value!r:.100}")
            if isinstance(value, dict):
                inner += [*value.keys(), *value.values()]
            elif isinstance(value, list):
                inner += value
        if not inner:
            return
        level = inner
    raise ValueError(f"{name} is nested too deeply")


def checked(value: Any, hint: Any, name: str) -> Any:
    """Return a value of JSON as its type hint has it.

    Keys that a dataclass does not have are left out; a list becomes the tuple that is asked for.

    Args:
        value: What `json.loads` gave.
        hint: A plain type, Any, a Literal, a dataclass, an enum, a class with `from_dict`, or
            X | None, tuple[…] and dict[str, …] of these. Floats are below LARGEST_FLOAT.
        name: What it is, for the message.

    Raises:
        ValueError: The value, or one inside it, is none.
    """
    if type(value) is hint:
        if hint is float and not abs(value) < LARGEST_FLOAT:  # nor is NaN
            raise ValueError(
                f"{name} must be a finite number below {LARGEST_FLOAT:g}, got {value!r}"
            )
        if hint is int and abs(value) >= _LARGEST:
            raise ValueError(f"{name} must be below 2**63")
        return value
    if hint is Any:
        return value
    if hint is float and type(value) is int and abs(value) < _LARGEST:
        return float(value)
    try:
        return _checked(value, hint, name)
    except KeyError as error:
        raise ValueError(f"{name} lacks {error}") from error
    except (TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{name} has a value of another kind: {error!r}") from error


def _checked(value: Any, hint: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"{name} must be one of {arguments}, got {value!r:.100}")
        return value
    if origin is types.UnionType:
        known = value is None or type(value) in arguments[1:]
        return value if known else checked(value, arguments[0], name)
    if origin is dict and isinstance(value, dict):
        return {key: checked(each, arguments[1], f"{name}.{key}") for key, each in value.items()}
    if origin is tuple and isinstance(value, (list, tuple)):
        if arguments[-1:] == (Ellipsis,):
            return tuple(checked(each, arguments[0], name) for each in value)
        if len(value) == len(arguments):
            return tuple(map(checked, value, arguments, [name] * len(value)))
    if hasattr(hint, "from_dict") and isinstance(value, dict):
        return hint.from_dict(value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return record(value, typing.cast(type[Any], hint), name)
    is_object = origin is dict or dataclasses.is_dataclass(hint)
    kind = "an object" if is_object else getattr(hint, "__name__", hint)
    got = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
    raise ValueError(f"{name} must be {kind}, got {got:.100}")


def record(values: dict[str, Any], kind: type[Any], name: str) -> Any:
    """Return a dataclass of the values that a mapping has for its fields.

    Raises:
        ValueError: A field without a default is missing, or a value is of another type.
    """
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]  # typeshed of mypy 2
    known = {key: checked(values[key], hints[key], key) for key in hints if key in values}
    try:
        return kind(**known)
    except TypeError as error:
        missing = [
            field.name
            for field in dataclasses.fields(kind)
            if field.name not in known
            and field.default is field.default_factory is dataclasses.MISSING
        ]
        reason = f" lacks {' and '.join(map(repr, missing))}" if missing else f": {error}"
        raise ValueError(f"{name}{reason}") from error


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
