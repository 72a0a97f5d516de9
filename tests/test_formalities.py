"""What can be said of the project as a whole: imports, floors, paths, documentation, versions."""

from __future__ import annotations

import doctest
import importlib
import importlib.metadata
import inspect
import linecache
import pkgutil
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import difflab

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(difflab.__file__).resolve().parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOOLS: dict[str, Any] = PROJECT["tool"]

HEAVY = {
    "sympy", "mpmath", "flint", "pandas", "matplotlib", "scipy", "typer", "rich", "pydantic", "jinja2", "psutil",
    "threadpoolctl", "cupy", "torch", "jax", "autograd", "casadi", "symengine", "numdifftools", "distributed",
}  # fmt: skip
README_COMMANDS = ("pip install . && difflab run", "pip install '.[test]' && pytest")


def _top_level(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


# ---------------------------------------------------------------------------- imports


def test_importing_difflab_loads_no_heavy_package(modules_after: Callable[[str], set[str]]) -> None:
    assert _top_level(modules_after("import difflab")) & (HEAVY | {"numpy", "optree"}) == set()


def test_gradients_by_the_tape_load_no_heavy_package(modules_after: Callable[[str], set[str]]) -> None:
    program = """
import numpy as np, difflab as dl
def loss(x): return np.sum(np.tanh(x) ** 2)
for backend in ("reverse", "forward", "finite"):
    dl.gradient(loss, backend=backend)(np.ones(3))
"""
    assert _top_level(modules_after(program)) & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["run", "--help"], ["list", "--help"]])
def test_help_and_version_load_no_numpy(arguments: list[str], modules_after: Callable[[str], set[str]]) -> None:
    program = f"""
import io, contextlib
from difflab.cli.app import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({arguments!r})
"""
    loaded = _top_level(modules_after(program))
    assert loaded & (HEAVY - {"typer", "rich", "pydantic"} | {"numpy", "optree"}) == set()


def test_every_backend_is_in_the_contract_that_keeps_them_apart() -> None:
    from difflab.backends import BUILT_IN, PEERS

    (apart,) = [contract for contract in TOOLS["importlinter"]["contracts"] if contract["type"] == "independence"]
    assert sorted(apart["modules"]) == sorted(module for module, _ in (BUILT_IN | PEERS).values())


# ---------------------------------------------------------------------------- configuration


def _configured_paths() -> list[str]:
    targets = TOOLS["hatch"]["build"]["targets"]
    return [
        PROJECT["project"]["readme"],
        *PROJECT["project"]["license-files"],
        *targets["wheel"]["packages"],
        *targets["wheel"]["force-include"],
        *targets["sdist"]["include"],
        *TOOLS["pytest"]["ini_options"]["testpaths"],
        *TOOLS["pyright"]["include"],
        *[pattern.removesuffix("/**") for pattern in TOOLS["ruff"]["lint"]["per-file-ignores"]],
    ]


@pytest.mark.parametrize("path", sorted({path.lstrip("/") for path in _configured_paths()}))
def test_configured_path_exists(path: str) -> None:
    assert list(ROOT.glob(path)), f"pyproject.toml names {path}, which does not exist"


def test_layers_name_modules_that_exist() -> None:
    contracts = [contract for contract in TOOLS["importlinter"]["contracts"] if contract["type"] == "layers"]
    assert [contract["containers"] for contract in contracts] == [["difflab"], ["difflab.cli"]]
    for contract in contracts:
        names = [name.strip() for layer in contract["layers"] for name in re.split(r"[|:]", layer)]
        there = {path.stem for path in ROOT.joinpath(*contract["containers"][0].split(".")).iterdir()}
        assert {name for name in names if not name.startswith("(")} <= there


def test_every_lint_exception_has_its_reason_on_the_line() -> None:
    bare = []
    for folder in ("difflab", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                if re.search(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore)\s*$", line):
                    bare.append(f"{path.relative_to(ROOT)}:{number}")
    assert bare == [], "name the rule that is switched off"


@pytest.mark.parametrize("folder", ["difflab", "tests"])
def test_no_file_is_longer_than_400_lines(folder: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}


# ---------------------------------------------------------------------------- what is shipped


def test_types_data_and_studies_are_shipped() -> None:
    from difflab.problems import PROBLEMS

    assert (PACKAGE / "py.typed").is_file()
    shipped = PACKAGE / "studies" if (PACKAGE / "studies").is_dir() else ROOT / "studies"
    assert {path.name for path in shipped.glob("*.toml")} == {path.name for path in (ROOT / "studies").glob("*.toml")}
    assert (shipped / "digits.toml").is_file()
    assert {"digits-mlp", "digits-cnn"} <= set(PROBLEMS)


def test_version_is_the_same_everywhere() -> None:
    version = PROJECT["project"]["version"]
    assert difflab.__version__ == version
    newest = re.search(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    if PACKAGE.parent != ROOT:
        assert importlib.metadata.version("difflab") == version


def test_readme_and_ci_run_the_same_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0].rstrip() for block in blocks for line in block.splitlines()]
    for command in README_COMMANDS:
        assert command in lines, f"README.md shows {command!r} on a line of its own in a code block"
        assert f'readme "{command}"' in script


# ---------------------------------------------------------------------------- documentation


def _public() -> list[str]:
    """Public functions and classes; of an error the text that a user sees is the example."""
    things = {name: getattr(difflab, name) for name in difflab.__all__}
    errors = {name for name, thing in things.items() if isinstance(thing, type) and issubclass(thing, Exception)}
    return sorted(name for name, thing in things.items() if not inspect.ismodule(thing) and name not in errors)


@pytest.mark.parametrize("name", _public())
def test_public_name_is_documented_with_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(difflab, name)) or ""
    summary, _, rest = text.partition("\n")
    assert summary.endswith((".", ":", "?")), f"difflab.{name}: the docstring starts with one full sentence"
    assert ">>>" in rest, f"difflab.{name}: the docstring has no example"


def _modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages([str(PACKAGE)], "difflab.")]
    return ["difflab", *[name for name in found if not name.endswith("__main__")]]


@pytest.mark.parametrize("name", _modules())
def test_examples_in_docstrings_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The runner would ask the disk, for every example, about every file that was ever quoted.
    monkeypatch.setattr(linecache, "checkcache", lambda filename=None: None)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    report: list[str] = []
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        doctest.DocTestRunner(optionflags=flags).run(example, out=report.append)
    assert report == [], "".join(report)


def test_every_public_name_is_listed_and_found() -> None:
    assert set(difflab.__all__) <= set(dir(difflab))
    for name in difflab.__all__:
        assert getattr(difflab, name) is not None
    with pytest.raises(AttributeError, match="gradiant"):
        _ = difflab.gradiant
