"""What crosses the border of the sandbox: length-prefixed JSON frames that hold plain values only.

`plain` rebuilds a value from exact builtin types (an `int` subclass gives the `int` it holds, whatever its `__eq__`
says); `encode`/`decode` tag what JSON lacks. Nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import itertools
import json
import socket
import struct
import sys
import zoneinfo
from collections.abc import Callable
from typing import Any

MAX_FRAME = 256 * 1024  # bytes of one frame that a child may send
MAX_DEPTH = 100
MAX_ITEMS = 20_000
MAX_COLLISIONS = 100  # members of a set or keys of a dict with the hash of another one
_HEADER = struct.Struct(">I")


class NotPlain(Exception):
    """The value holds something other than plain data, or too much of it."""


class BadFrame(Exception):
    """The other side sent something that is not a frame of the agreed size and form."""


def send_frame(sock: socket.socket, message: Any) -> None:
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    sock.sendall(_HEADER.pack(len(body)) + body)


def read_frame(sock: socket.socket, limit: int = MAX_FRAME) -> Any:
    """The next message, or None at the end of the stream. Raises BadFrame, TimeoutError, OSError."""
    header = _read_exactly(sock, _HEADER.size)
    if not header:
        return None
    (size,) = _HEADER.unpack(header)
    if size > limit:
        raise BadFrame(f"a frame of {size} bytes (limit {limit})")
    return _parse(_read_exactly(sock, size))


class Reader:
    """`read_frame` for the side that reads many: takes what has arrived in one piece."""

    def __init__(self, sock: socket.socket, limit: int = MAX_FRAME) -> None:
        self.sock, self.limit = sock, limit
        self.held = bytearray()

    def __call__(self) -> Any:
        while True:
            if len(self.held) >= _HEADER.size:
                (size,) = _HEADER.unpack_from(self.held)
                if size > self.limit:
                    raise BadFrame(f"a frame of {size} bytes (limit {self.limit})")
                end = _HEADER.size + size
                if len(self.held) >= end:
                    body = self.held[_HEADER.size : end]
                    del self.held[:end]
                    return _parse(body)
            part = self.sock.recv(1 << 16)
            if not part:
                if self.held:
                    raise BadFrame("the stream ended inside a frame")
                return None
            self.held += part


def _parse(body: bytes | bytearray) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {type(error).__name__}") from error


def _read_exactly(sock: socket.socket, size: int) -> bytes:
    parts, missing = [], size
    while missing:
        part = sock.recv(min(missing, 1 << 16))
        if not part:
            if missing == size:
                return b""
            raise BadFrame("the stream ended inside a frame")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_ZONES = (datetime.timezone, zoneinfo.ZoneInfo)


def _zone(value: datetime.datetime | datetime.time) -> list[int] | None:
    """The offset from UTC of a time that has one, as days, seconds, microseconds. Raises NotPlain for a zone of one's own."""
    if value.tzinfo is None:
        return None
    offset = value.utcoffset() if type(value.tzinfo) in _ZONES else None
    if offset is None:
        raise NotPlain("a time zone has no plain form")
    return _STAMPS[datetime.timedelta](offset)


def _in_zone(kind: Any, parts: list[Any]) -> Any:
    *parts, offset = parts
    zone = None if offset is None else datetime.timezone(datetime.timedelta(*offset))
    return kind(*parts, tzinfo=zone)


# Finished values of the standard library without state of their own to run; rebuilt exactly on the other side.
_STAMPS: dict[type, Callable[[Any], list[Any]]] = {
    datetime.date: lambda v: [v.year, v.month, v.day],
    datetime.time: lambda v: [v.hour, v.minute, v.second, v.microsecond, _zone(v)],
    datetime.datetime: lambda v: [v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, _zone(v)],
    datetime.timedelta: lambda v: [v.days, v.seconds, v.microseconds],
}
_PLAIN_ITERATOR: type = type(iter([None]))
_ANY: tuple[Any, ...] = ([], (), {}, set(), "", b"", range(0))
_ITERATORS = tuple(
    {type(iter(x)) for x in _ANY}
    | {type(x for x in _ANY), map, filter, zip, enumerate, reversed}
    | {type({}.keys()), type({}.values()), type({}.items()), type(reversed([])), type(iter({}.values()))}
    | {itertools.chain, itertools.islice, itertools.permutations, itertools.combinations, itertools.product}
)


def plain(value: Any, depth: int = 0) -> Any:
    """The same data in exact builtin types; iterators become list iterators. Raises NotPlain.

    Methods are taken from the builtin type, never from the value, so that a subclass cannot answer for itself.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if depth > MAX_DEPTH:
        raise NotPlain("nested too deeply")
    down = depth + 1
    if kind is list or kind is tuple or kind is set or kind is frozenset or kind is collections.deque:
        return kind(plain(item, down) for item in _bounded(value))
    if kind is dict:
        return {plain(k, down): plain(v, down) for k, v in _bounded(value.items())}
    if kind is collections.Counter or kind is collections.OrderedDict:
        return kind({plain(k, down): plain(v, down) for k, v in _bounded(dict.items(value))})
    if kind is range or kind is bytearray or kind is decimal.Decimal or kind is fractions.Fraction or kind in _STAMPS:
        return value
    if kind in _ITERATORS:
        return iter([plain(item, down) for item in _bounded(value)])
    if (number := _numpy_number(value)) is not None:
        return number
    return _held(value, down)


def _numpy_number(value: Any) -> bool | int | float | complex | None:
    """The number that a scalar of numpy holds, which no builtin type knows of; numpy is there if the program imported it."""
    generic: Any = getattr(sys.modules.get("numpy"), "generic", None)
    if generic is None or not issubclass(type(value), generic):
        return None
    held = generic.item(value)
    return held if type(held) in (bool, int, float, complex) else None


def _held(value: Any, depth: int) -> Any:
    """The builtin value that an instance of a subclass holds."""
    tries: tuple[Callable[[], Any], ...] = (
        lambda: int.__index__(value),
        lambda: float.__pos__(value),
        lambda: str.__str__(value),
        lambda: bytes.__getitem__(value, slice(None)),
        lambda: complex.__pos__(value),
        lambda: list.__getitem__(value, slice(None)),
        lambda: tuple.__getitem__(value, slice(None)),
        lambda: dict(dict.items(value)),
        lambda: set(set.__iter__(value)),
        lambda: frozenset(frozenset.__iter__(value)),
    )
    for attempt in tries:
        try:
            inner = attempt()
        except TypeError:
            continue
        return plain(inner, depth)
    raise NotPlain(f"an object of class {type(value).__name__[:60]}, not plain data")


def _bounded(items: Any) -> Any:
    taken = list(itertools.islice(iter(items), MAX_ITEMS + 1))
    if len(taken) > MAX_ITEMS:
        raise NotPlain(f"more than {MAX_ITEMS} items")
    return taken


def same_types(value: Any, other: Any) -> bool:
    """Whether two equal plain values are of the same types all the way down: 9.0 is not 9, True not 1, a Counter no dict."""
    kind = type(value)
    if kind is not type(other):
        return False
    if kind is list or kind is tuple or kind is collections.deque:
        return len(value) == len(other) and all(map(same_types, value, other))
    if kind is set or kind is frozenset:
        held = {item: item for item in other}
        return all(item in held and same_types(item, held[item]) for item in value)
    if isinstance(value, dict):
        held = {key: key for key in other}
        return all(k in held and same_types(k, held[k]) and same_types(v, other[k]) for k, v in value.items())
    return True


def encode(value: Any) -> Any:
    """A plain value as JSON: lists stay lists, everything JSON lacks is {tag: content}."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -(1 << 53) < value < 1 << 53 else {"int": hex(value)}
    if kind is float:
        return {"float": value.hex()} if value != value or value in (float("inf"), float("-inf")) else value
    if kind is list:
        return [encode(item) for item in value]
    if kind is dict or kind is collections.Counter or kind is collections.OrderedDict:
        return {kind.__name__: [[encode(k), encode(v)] for k, v in value.items()]}
    if kind is tuple or kind is set or kind is frozenset or kind is collections.deque:
        return {kind.__name__: [encode(item) for item in value]}
    if kind is bytes or kind is bytearray:
        return {kind.__name__: value.hex()}
    if kind is complex:
        return {"complex": [encode(value.real), encode(value.imag)]}
    if kind is range:
        return {"range": [encode(value.start), encode(value.stop), encode(value.step)]}
    if kind is decimal.Decimal:
        return {"Decimal": str(value)}
    if kind is fractions.Fraction:
        return {"Fraction": [encode(value.numerator), encode(value.denominator)]}
    if kind in _STAMPS:
        return {kind.__name__: _STAMPS[kind](value)}
    if kind is _PLAIN_ITERATOR:
        return {"iterator": [encode(item) for item in value]}
    raise NotPlain(f"{kind.__name__} has no plain form")


def _members(items: list[Any]) -> list[Any]:
    """What goes into a set or the keys of a dict. Raises NotPlain where each would have to be compared with each."""
    if len(items) - len({hash(item) for item in items}) > MAX_COLLISIONS:
        raise NotPlain("too many members of the same hash")
    return items


def _pairs(items: list[Any]) -> dict[Any, Any]:
    _members([key for key, _ in items])
    return dict(items)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda v: int(v, 16),
    "float": float.fromhex,
    "tuple": tuple,
    "set": lambda v: set(_members(v)),
    "frozenset": lambda v: frozenset(_members(v)),
    "deque": collections.deque,
    "dict": _pairs,
    "Counter": lambda v: collections.Counter(_pairs(v)),
    "OrderedDict": lambda v: collections.OrderedDict(_pairs(v)),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": lambda v: complex(v[0], v[1]),
    "range": lambda v: range(*v),
    "Decimal": decimal.Decimal,
    "Fraction": lambda v: fractions.Fraction(v[0], v[1]),
    "date": lambda v: datetime.date(*v),
    "time": lambda v: _in_zone(datetime.time, v),
    "datetime": lambda v: _in_zone(datetime.datetime, v),
    "timedelta": lambda v: datetime.timedelta(*v),
    "iterator": iter,
}


def decode(message: Any, depth: int = 0) -> Any:
    """The plain value that `encode` wrote. Raises NotPlain for anything else: the sender is not trusted."""
    if depth > 2 * MAX_DEPTH:
        raise NotPlain("nested too deeply")
    if message is None or isinstance(message, (bool, int, float, str)):
        return message
    try:
        if isinstance(message, list):
            return [decode(item, depth + 1) for item in message]
        ((tag, content),) = message.items()
        return _DECODERS[tag](decode(content, depth + 1))
    except NotPlain:
        raise
    except Exception as error:
        raise NotPlain(f"unreadable value: {type(error).__name__}") from error
