"""Python, packages, backends and optional parts."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

from .. import environment, hardware
from .finding import NOTE, OK, OPTION, PROBLEM, Finding


def python() -> Finding:
    """The interpreter."""
    build = environment.python_build()
    text = f"{platform.python_implementation()} {platform.python_version()}, {build['compiler']}"
    slow = [name for name in ("debug", "free_threading") if build[name]]
    if slow:
        name = {"debug": "a debug build", "free_threading": "a free-threading build"}[slow[0]]
        return Finding("Python", NOTE, f"{text}, {name}", "Times of other builds of Python cannot be compared with it.")
    return Finding("Python", OK, text)


def packages() -> Iterator[Finding]:
    """What difflab cannot do without."""
    needed = [name for name, extra in requirements() if not extra]
    found = {name: environment.version_of(name) for name in needed or environment.PACKAGES}
    missing = [name for name, version in found.items() if version is None and name != "difflab"]
    if missing:
        yield Finding("packages", PROBLEM, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    else:
        shown = ("numpy", "scipy", "sympy", "python-flint")
        yield Finding("packages", OK, ", ".join(f"{name} {found.get(name)}" for name in shown if name in found))


def requirements() -> list[tuple[str, str]]:
    """The packages that difflab's metadata name, each with the extra it belongs to (empty for none)."""
    try:
        texts = metadata.requires("difflab") or []
    except metadata.PackageNotFoundError:  # run from the source tree
        return []
    found = []
    for text in texts:
        name = re.match(r"[\w.-]+", text)
        extra = re.search(r"extra\s*==\s*['\"](.+?)['\"]", text)
        if name:
            found.append((name[0], extra[1] if extra else ""))
    return found


def backends() -> Iterator[Finding]:
    """Which backends there are, and why one is not."""
    from ...backends import listing

    known = listing()
    there = [one.name for one in known if one.unavailable is None]
    yield Finding("backends", OK if there else PROBLEM, f"{len(there)} of {len(known)}: {', '.join(there)}")
    for one in known:
        if one.unavailable is not None:
            figure, _, advice = one.unavailable.partition("; pip ")
            figure = figure.removeprefix(f"backend {one.name!r} cannot be used: ")
            yield Finding(f"backend {one.name}", OPTION, figure, f"pip {advice}" if advice else "")


def extras() -> Iterator[Finding]:
    """The optional parts of difflab: what is missing, and the command that installs it."""
    parts: dict[str, list[str]] = {}
    for name, extra in requirements():
        if extra and extra != "test":
            parts.setdefault(extra, []).append(name)
    for extra, names in parts.items():
        missing = [name for name in names if environment.version_of(name) is None]
        if extra == "gpu" and (missing and hardware.gpus() is None):
            continue  # there is nothing it could be used with
        if missing:
            there = f"; installed: {', '.join(name for name in names if name not in missing)}" * (missing != names)
            advice = f'pip install "difflab[{extra}]"'
            yield Finding(f"extra {extra}", OPTION, f"missing: {', '.join(missing)}{there}", advice)
        else:
            yield Finding(f"extra {extra}", OK, f"installed: {', '.join(names)}")


def compiler() -> Finding:
    """The C compiler, which one way of symbolic differentiation needs."""
    from ...execution.code_out import c_code

    if (missing := c_code.no_compiler()) is not None:
        return Finding("C compiler", OPTION, missing)
    return Finding("C compiler", OK, " ".join(c_code.compiler() or []))
