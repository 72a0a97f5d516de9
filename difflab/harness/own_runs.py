"""Runs of users' own losses: which command makes one again, and what has changed since an earlier one began."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import StoreError
from . import grid, own_loss, store
from .request import Request
from .study import Study


def facts(request: Request, study: Study) -> dict[str, Any]:
    """What the manifest of a run says of the users' own losses in it; nothing without any.

    Args:
        request: what was asked; ``target`` is its function where it names one.
        study: as it was read; ``losses`` are the sums of its files and of their data.
    """
    target = {"target": request.study} if own_loss.is_target(request.study) else {}
    losses = grid.own_losses(study)
    return {**target, **({"losses": losses} if losses else {})}


def choose_folder(request: Request, study: Study, key: str, emit: Callable[[dict[str, Any]], None]) -> Path:
    """The folder of a run, as ``store.choose_folder`` chooses it; says so where a file has changed.

    Args:
        request: what is asked.
        study: as it was read.
        key: of the run.
        emit: is told why an unfinished run is not gone on with.

    Raises:
        FolderError: the folder named holds something else, such as a run of a file that has changed since.
    """
    out = None if request.out is None else Path(request.out)
    try:
        folder = store.choose_folder(out, study.name, key)
    except store.FolderError:
        if out is None or not (changed := _changed(out, request, study)):
            raise
        raise store.FolderError(
            f"{out} holds a run of {changed} as it was before it was changed, or of other data. Choose a new folder "
            f"with --out DIR, or change it back."
        ) from None
    if out is None:
        last = int(folder.name.removeprefix(study.name).removeprefix("-") or 1)
        for number in range(1, last):
            earlier = folder.with_name(study.name if number == 1 else f"{study.name}-{number}")
            if (changed := _changed(earlier, request, study)) and not store.finished(earlier):
                since = f"since the run in {earlier} began, which stays as it is"
                emit({"event": "note", "text": f"{changed} has changed, or its data have, {since}"})
    return folder


def _changed(folder: Path, request: Request, study: Study) -> str:
    """Which file is another than that of a run of the same study, with the same settings; empty where none is."""
    try:
        known = store.read_manifest(folder)
    except StoreError:
        return ""
    now, then = grid.own_losses(study), known.get("losses", {})
    settings = known["study"]["text"], known["seed"], known["quick"]
    if settings != (study.text, request.seed, request.quick):
        return ""
    return next((name.rpartition(":")[0] for name in now if name in then and then[name] != now[name]), "")
