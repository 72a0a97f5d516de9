"""``difflab check``: a loss and a gradient from the user's files, the report as text."""

from __future__ import annotations

import contextlib
import sys

from ..own_files import Files, blaming, example_arguments


def check_files(
    loss: str,
    gradient: str,
    at: str | None,
    argnum: int,
    tolerance: float | None,
    as_json: bool,
    device: str = "cpu",
) -> tuple[str, bool]:
    """Check a gradient in a file.

    Args:
        loss: ``FILE.py:FUNCTION`` or ``module:function``.
        gradient: likewise; ``:function`` alone is one of the loss's file.
        at: where the arguments are; by default a name in the loss's file, or the defaults of the loss.
        argnum: which argument is differentiated.
        tolerance: largest relative error, or ``None``.
        as_json: whether the report is one JSON document.
        device: where the gradient is computed; on "gpu" its arguments are CuPy's arrays. The truth is the host's.

    Returns:
        The report, and whether the gradient is right.

    Raises:
        InputError: a fault in what was named, or in these files.
        UnavailableError: the device is not to be had.
    """
    from ..harness.study_device import check_device

    if check_device(device) == "gpu":
        from ..harness.gpu_side import computed_there
    files = Files()
    # What the user's files print is no result.
    with contextlib.redirect_stdout(sys.stderr):
        function = files.function(loss)
        derivative = files.function(gradient, files.place(loss))
        if device == "gpu":
            derivative = computed_there(derivative)
        args, kwargs = example_arguments(files, loss, function, at)
        with blaming(f"{loss} or {gradient}"):
            from ..checking import check

            found = check(derivative, function, *args, argnums=argnum, tolerance=tolerance, **kwargs)
    if as_json:
        from .tables import json_text

        return json_text({"check": found.to_dict()}), found.ok
    return str(found), found.ok
