"""Rows as tidy pandas frames: a row per case, sample, process, bin or option, and one number or word per cell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..columns import EVERY, GPU, MAIN, MORE, NESTED, meanings, units

if TYPE_CHECKING:
    import pandas

KEYS = ("case", "problem", "size", "dtype", "backend")
"""What a row of a further frame says of its case."""


def cases(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """One row per case.

    Args:
        rows: of a run or a comparison.

    Returns:
        The columns of ``columns.MAIN``, ``MORE`` and ``GPU``, then what the backends noted.  Numbers are float64, or
        int64 where none is missing; a missing number is NaN, a missing word ``None``.  ``attrs["units"]`` and
        ``attrs["meanings"]`` describe the columns.

    Example:
        >>> frame = cases([{"backend": "reverse", "call_s": 1e-3, "tape_length": 7}, {"backend": "forward"}])
        >>> frame[["backend", "call_s", "tape_length"]].dtypes.astype(str).tolist()[1:], frame.attrs["units"]["call_s"]
        (['float64', 'float64'], 'seconds')
    """
    noted = sorted({key for row in rows for key in row} - {*MAIN, *MORE, *GPU, *NESTED})
    names = (*MAIN, *MORE, *GPU, *(name for name in noted if all(_plain(row.get(name)) for row in rows)))
    found = {name: _column(name, [row.get(name) for row in rows]) for name in names}
    return _described(found)


def samples(rows: Sequence[Mapping[str, Any]], times: Mapping[str, Sequence[Sequence[float]]]) -> pandas.DataFrame:
    """One row per sample, in the order of measuring.

    Args:
        rows: of a run or a comparison.
        times: seconds per call by case, one list per process.

    Returns:
        ``case``, ``problem``, ``size``, ``dtype``, ``backend``, ``process`` and ``sample`` (both from 0), ``seconds``.

    Example:
        >>> samples([{"case": "a", "backend": "reverse"}], {"a": [[0.25, 0.5]]})["seconds"].tolist()
        [0.25, 0.5]
    """
    return _long(
        rows,
        ("process", "sample", "seconds"),
        lambda row: (
            (process, number, seconds)
            for process, own in enumerate(times.get(row["case"], ()))
            for number, seconds in enumerate(own)
        ),
    )


def processes(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """One row per process of a case.

    Args:
        rows: of a run.

    Returns:
        The columns that name the case, then ``process`` (from 0), ``epoch`` (cases with the same one took turns),
        ``call_s`` and ``primal_s``, the medians of the process in seconds.

    Example:
        >>> processes([{"case": "a", "medians": [[2.0, 1.0]], "epochs": ["0.0."]}])["call_s"].tolist()
        [2.0]
    """

    def parts(row: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
        epochs, medians = row.get("epochs") or [], row.get("medians") or []
        return (
            (process, epoch, call, primal)
            for process, (epoch, (call, primal)) in enumerate(zip(epochs, medians, strict=True))
        )

    return _long(rows, ("process", "epoch", "call_s", "primal_s"), parts)


def ulps(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """One row per case and bin of its histogram of errors, empty bins included.

    Args:
        rows: of a run or a comparison.

    Returns:
        The columns that name the case, then ``bin`` (from 0), ``error`` in units of the last place, in words such as
        "1/2 to 1", and ``coordinates``, how many have that error.

    Example:
        >>> ulps([{"case": "a", "ulp_histogram": [3, 1]}])[["error", "coordinates"]].values.tolist()
        [['exact', 3], ['up to 1/2', 1]]
    """
    from .grades import ulp_bin

    return _long(
        rows,
        ("bin", "error", "coordinates"),
        lambda row: ((k, ulp_bin(k), int(count)) for k, count in enumerate(row.get("ulp_histogram") or ())),
    )


def options(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """One row per option that a study gave a backend.

    Args:
        rows: of a run.

    Returns:
        The columns that name the case, then ``option`` and ``value`` as a text: a word as it is, all else as JSON.

    Example:
        >>> options([{"case": "a", "options": '{"scheme":"central"}'}])[["option", "value"]].values.tolist()
        [['scheme', 'central']]
    """
    return _long(
        rows,
        ("option", "value"),
        lambda row: (
            (name, value if isinstance(value, str) else json.dumps(value))
            for name, value in json.loads(row.get("options") or "{}").items()
        ),
    )


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float)


def _column(name: str, values: list[Any]) -> Any:
    """Numbers as floats, or as integers where none is missing; words and flags as they are."""
    import numpy as np

    known = [value for value in values if value is not None]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    numeric = EVERY[name].kind in ("whole", "real") if not known and name in EVERY else numeric and bool(known)
    if not numeric:
        return np.array([*values, None], object)[:-1]  # never a second axis
    whole = (name in EVERY and EVERY[name].kind == "whole") or all(isinstance(value, int) for value in known)
    if whole and len(known) == len(values) and all(abs(value) < 2**63 for value in known):
        return np.array(values, np.int64)
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def _described(columns: Mapping[str, Any]) -> pandas.DataFrame:
    import pandas

    frame = pandas.DataFrame(dict(columns))
    frame.attrs.update(units=units(columns), meanings=meanings(columns))
    return frame


def _long(
    rows: Iterable[Mapping[str, Any]], names: tuple[str, ...], parts: Callable[[Mapping[str, Any]], Iterable[tuple]]
) -> pandas.DataFrame:
    """What ``parts`` gives of each row, behind what names its case."""
    import pandas

    found = [(*(row.get(key) for key in KEYS), *part) for row in rows for part in parts(row)]
    return pandas.DataFrame(found, columns=[*KEYS, *names])
