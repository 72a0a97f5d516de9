"""The lines of ``events.jsonl``: one event each, with a format, a running number and a checksum over both and the data.

A number that is missing is a fault, unless a line of the kind ``lost`` stands in its place and says that ``difflab
repair`` found it lost: such a line carries the last of the numbers that it stands for.  So whatever length a file is
cut to, what is left is a good file with a torn tail.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError

VERSION = 1
LOST = "lost"
# A JSON object that says which format it is in, as all formats will; what was cut or overwritten does not look so.
_OTHER_FORMAT = re.compile(rb'\{"v":(?!1,)\d{1,6},"seq":\d+,"crc":"[^"]*",.*\}\r?')


class FormatError(StoreError):
    """A line was written by another difflab in a format that this one does not know: nothing is broken."""


def canonical(value: Any) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces, no NaN.

    >>> canonical({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode(seq: int, data: Mapping[str, Any]) -> bytes:
    """One event as a line of bytes.

    >>> encode(0, {"kind": "note"})
    b'{"v":1,"seq":0,"crc":"fd2bad83","data":{"kind":"note"}}\\n'
    """
    body = canonical(data)
    return f'{{"v":{VERSION},"seq":{seq},"crc":"{_checksum(seq, body)}","data":{body}}}\n'.encode()


def decode(line: bytes) -> tuple[int, dict[str, Any]]:
    """The number and data of a line.

    Args:
        line: with or without its newline.

    Raises:
        FormatError: it is of another format.
        ValueError: it is no event, or damaged; the message says what is wrong with it.
    """
    try:
        record = json.loads(line)
        version, seq, crc, data = record["v"], record["seq"], record["crc"], record["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        refuse_other_format(line)
        raise ValueError("is not an event of difflab") from fault
    if version != VERSION:
        refuse_other_format(line)
        raise ValueError(f"has the format {version!r}, which no difflab writes")
    try:
        right = _checksum(seq, canonical(data)) == crc
    except (ValueError, RecursionError):  # NaN, which no line of ours holds
        right = False
    if not right or type(seq) is not int:  # the text "5" has the sum of the number
        raise ValueError("does not match its checksum")
    return seq, data


def refuse_other_format(line: bytes) -> None:
    """Raise ``FormatError`` if a line is whole and of a format that another difflab writes."""
    line = line.rstrip(b"\n")
    if not _OTHER_FORMAT.fullmatch(line):
        return
    version, rest = line[5 : line.index(b",")], line[line.index(b",") :]
    try:
        decode(b'{"v":%d%b' % (VERSION, rest))  # a line of ours in which that very digit is damaged
    except ValueError:
        raise FormatError(f"has format {int(version)}; this difflab reads format {VERSION}") from None


def _checksum(seq: int, body: str) -> str:
    return f"{zlib.crc32(f'{VERSION}:{seq}:{body}'.encode()):08x}"


def after(number: int, data: Mapping[str, Any], expected: int) -> int:
    """The number that follows an event.

    Args:
        number: that the event has.
        data: the event.
        expected: the number that it should have.

    Raises:
        ValueError: it has another number, and does not stand for lost ones.
    """
    first = data["first"] if data.get("kind") == LOST else number
    if first != expected:
        raise ValueError(f"has number {first}, expected {expected}")
    return number + 1


def next_number(events: Iterable[Mapping[str, Any]]) -> int:
    """The number of the event to come after ``events``.

    >>> next_number([{"kind": "note"}, {"kind": "lost", "first": 1, "last": 4}])
    5
    """
    return sum(event["last"] - event["first"] + 1 if event["kind"] == LOST else 1 for event in events)


def scan(raw: bytes, name: str = "events.jsonl") -> tuple[list[dict[str, Any]], int]:
    """All events in the bytes of an event file, and how many of the bytes are good.

    Args:
        raw: the file's content.
        name: its path, for errors.

    Returns:
        The events in order, and the length of the good part: what follows is the torn tail of a killed write.

    Raises:
        StoreError: a line before the last is damaged, a number is missing, or another difflab wrote it.
    """
    events: list[dict[str, Any]] = []
    good = expected = 0
    lines = raw.split(b"\n")
    complete = lines[:-1]  # what follows the last newline is empty, or torn
    for number, line in enumerate(complete, start=1):
        whole = False
        try:
            seq, data = decode(line)
            whole = True
            expected = after(seq, data, expected)
        except FormatError as fault:
            advice = "Read the run with the difflab that wrote it."
            raise FormatError(f"{name}:{number}: this line {fault}. {advice}") from None
        except ValueError as fault:
            if number == len(complete) and not whole:  # no kill makes a whole line with another's number
                break
            raise StoreError(
                f"{name}:{number}: this line {fault}. The file was changed or the disk is damaged; nothing was "
                f"written to it. `difflab repair {Path(name).parent}` keeps what is whole, and a copy of the file."
            ) from fault
        events.append(data)
        good += len(line) + 1
    return events, good
