"""Asking a worker what there is to choose from, so that no module that a study names can harm the coordinator."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DifflabError, UnavailableError
from . import catalogue, kernels, own_loss
from .host_lock import HostLock
from .process import START_SECONDS, Worker, ask
from .study import Study
from .study_file import read_study


class Probe:
    """Asks a worker what there is to choose from; keeps it, and in ``found`` what it says of the machine.

    Args:
        seconds: how long one answer may take; a module that takes longer to import is refused.

    A module whose import ends or blocks the worker costs a worker: the next questions go to a new one.
    """

    def __init__(self, seconds: float = START_SECONDS) -> None:
        self.seconds = seconds
        self.found: dict[str, Any] = {}
        self.kernels = kernels.Decision([], None, None, "")
        self.catalogue = catalogue.Catalogue({}, {})
        self._worker: Worker | None = None
        self._deadly: dict[str, str] = {}

    def __call__(self, backends: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str]) -> catalogue.Catalogue:
        """The catalogue, with what the study asks for looked up in it."""
        try:
            self.found = self._ask({"do": "describe"})
            self.kernels = kernels.decide(self.found["blas"])
            self.found["kernels"] = self.kernels.to_json()
            self.catalogue = catalogue.collect(backends, problems, self._look)
            self._compare_data()
            return self.catalogue
        finally:
            self._close()

    def _compare_data(self) -> None:
        """Let another process look at the users' own losses: what it is given must be the same to the bit."""
        for name in list(self.catalogue.own):
            self._close()
            again = self._look({"what": "problem", "name": name})
            if again.get("own") != self.catalogue.own[name]:
                del self.catalogue.own[name], self.catalogue.problems[name]
                self.catalogue.broken[name] = again.get("why") or str(own_loss.different(name))

    def gpu(self) -> dict[str, Any]:
        """The GPU of this machine, from ``gpu_facts``.

        Raises:
            UnavailableError: there is none that CuPy computes on.
        """
        try:
            return self._ask({"do": "gpu"})
        except DifflabError as fault:
            raise UnavailableError(str(fault)) from fault
        finally:
            self._close()

    def _look(self, question: dict[str, Any]) -> dict[str, Any]:
        module, colon, _ = question.get("name", "").partition(":")
        if not colon:
            return self._ask({"do": "look", "question": question})
        if module not in self._deadly:
            try:
                return self._ask({"do": "look", "question": question})
            except DifflabError as fault:
                self._deadly[module] = str(fault)
        return {"why": f"{question['name']!r} cannot be used: {self._deadly[module]}"}

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        self._worker = self._worker or Worker()
        answer = ask(self._worker, command, self.seconds)
        if answer is not None:
            return answer
        began, (_, reason) = self._worker.phase != "start", self._worker.verdict or ("", "no answer")
        self._close()
        raise DifflabError(reason if began else f"difflab's workers do not run here: {reason}")

    def _close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()


def read_with(probe: Probe, study: str, emit: Callable[[dict[str, Any]], None]) -> Study:
    """Read and check a study, but not while another run's clocks run: the workers that look things up load the machine.

    Args:
        probe: what is asked.
        study: its name or path.
        emit: is told of a long wait.

    Raises:
        StudyError: the study is wrong.
    """
    with contextlib.closing(HostLock(lambda text: emit({"event": "note", "text": text}))) as lock, lock.shared():
        return read_study(study, probe)
