"""Nothing read from disk, the network or the command line is run; no worker imports what it does not need."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import INSTALLED, ROOT, RunCommand
from hypothesis import given
from hypothesis import strategies as st

import difflab
from difflab import backends
from difflab.cli.trace import trace_text
from difflab.errors import InputError, StoreError
from difflab.execution.program import Program
from difflab.harness.reference import Direction, Reference
from difflab.tape import Tape
from difflab.views import trace

# ------------------------------------------------------------------------------- what the source may call

MODULES = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "runpy", "code", "codeop"}
CALLS = {
    *("eval", "exec", "compile", "__import__", "import_module", "exec_module", "sympify", "parse_expr", "lambdify"),
    *("read_pickle", "to_pickle", "literal_eval", "find_class", "load_module"),
}
OWN_TEXT = "the text was written by difflab from numbers of values, never from names that were read"
NAMED = "imports a module that the user names, which is how users bring their own; it is never told a text to run"
CONSTANT = "the name is a constant of difflab"
ALLOWED = {  # the file, where in it, what is called, and why that is no way in
    ("__init__.py", "__getattr__", "import_module"): CONSTANT,
    ("backends/__init__.py", "made_by", "import_module"): CONSTANT,
    ("backends/peers/casadi_expressions.py", "engine", "import_module"): CONSTANT,
    ("backends/peers/forecast.py", "part", "import_module"): CONSTANT,
    ("backends/peers/jax_peer.py", "PreparedJax._program", "compile"): "JAX compiles what it traced, never a text",
    ("backends/peers/lambdify_peer.py", "derived.compiled", "lambdify"): OWN_TEXT,
    ("backends/peers/numdifftools_peer.py", "PreparedNumdifftools.__init__", "import_module"): CONSTANT,
    ("backends/peers/torch_compiled.py", "compiled", "compile"): "PyTorch compiles a function of ours, never a text",
    ("backends/peers/replay.py", "replay", "compile"): OWN_TEXT,
    ("backends/peers/replay.py", "replay", "exec"): OWN_TEXT,
    ("own_files.py", "Files.module", "import_module"): NAMED,
    ("own_files.py", "load_file", "exec_module"): "difflab check FILE runs the user's file, as Python itself would",
    ("execution/code_out/array_code.py", "ArrayProgram.__init__", "lambdify"): OWN_TEXT,
    ("execution/code_out/array_code.py", "_names", "exec"): "the texts are constants of difflab",
    ("execution/code_out/symengine_code.py", "of_sympy", "sympify"): "converts expressions of SymEngine, never texts",
    ("execution/codegen.py", "compile_text", "compile"): OWN_TEXT,
    ("execution/codegen.py", "compile_text", "exec"): OWN_TEXT,
    ("execution/dag/code.py", "Writer.function", "compile"): OWN_TEXT,
    ("execution/dag/code.py", "Writer.function", "exec"): OWN_TEXT,
    ("execution/expressions.py", "_Safe.__call__", "compile"): OWN_TEXT,
    ("execution/expressions.py", "_Safe.__call__", "exec"): OWN_TEXT,
    ("execution/expressions.py", "compile_function", "lambdify"): OWN_TEXT,
    ("execution/symbols.py", "_joined", "sympify"): "converts truth values and expressions, never texts",
    ("harness/calibration.py", "_python", "compile"): "the text is a constant of difflab but for its count of lines",
    ("harness/calibration.py", "_python", "exec"): "the text is a constant of difflab but for its count of lines",
    ("harness/catalogue.py", "imported", "import_module"): NAMED,
    ("harness/worker.py", "examine", "import_module"): "the kind is one of KINDS, checked when the study is read",
    ("idiomatic/__init__.py", "find", "import_module"): CONSTANT,
    ("primitives/record.py", "_imported", "import_module"): NAMED,
    ("report/kinds.py", "sections", "import_module"): "the kind is one of KINDS, checked by the caller",
    **{("traps/peers.py", where, "import_module"): CONSTANT for where in (
        "Jax.xp", "Jax.gradient", "Jax.compiled", "Jax.prepare", "Jax._in_64_bits", "Torch.xp", "Torch.gradient",
        "Torch.prepare", "Autograd.xp", "Autograd.gradient", "Autograd.prepare",
    )},
}  # fmt: skip


def _used(node: ast.AST, where: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Calls and imports that could run what was read, with the function around them."""
    for child in ast.iter_child_nodes(node):
        inner = (*where, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else where
        here = ".".join(inner)
        if isinstance(child, ast.Import | ast.ImportFrom):
            level = getattr(child, "level", 0)
            names = [child.module or ""] if isinstance(child, ast.ImportFrom) else [one.name for one in child.names]
            yield from ((here, f"import {name}") for name in names if not level and name.split(".")[0] in MODULES)
        if isinstance(child, ast.Call):
            name = getattr(child.func, "attr", getattr(child.func, "id", ""))
            of = ast.unparse(child.func).rpartition(".")[0] if name in (*CALLS, "load") else ""
            if name in CALLS and not (of == "re" and name == "compile"):
                yield here, name
            safe = any(one.arg == "allow_pickle" and ast.unparse(one.value) == "False" for one in child.keywords)
            if name == "load" and of in ("np", "numpy", "torch", "joblib") and not (of in ("np", "numpy") and safe):
                yield here, ast.unparse(child)
        if (
            isinstance(child, ast.Name)
            and child.id in ("eval", "exec", "__import__")
            and not isinstance(node, ast.Call)
        ):
            yield here, child.id
        yield from _used(child, inner)


@cache
def _places() -> dict[tuple[str, str, str], None]:
    package = ROOT / "difflab"
    found = {}
    for path in sorted(package.rglob("*.py")):
        for where, what in _used(ast.parse(path.read_text(encoding="utf-8"))):
            found[(path.relative_to(package).as_posix(), where, what)] = None
    return found


def test_nothing_in_the_source_runs_what_it_reads_but_for_the_places_with_a_reason() -> None:
    assert sorted(set(_places()) - set(ALLOWED)) == [], "new places; a reason is needed in the table, or another way"
    assert sorted(set(ALLOWED) - set(_places())) == [], "places that are gone; take them out of the table"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import pickle", "import pickle"),
        ("def f():\n    from joblib import load", "import joblib"),
        ("import numpy as np\nnp.load(path)", "np.load(path)"),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "np.load(path, allow_pickle=True)"),
        ("torch.load(path, allow_pickle=False)", "torch.load(path, allow_pickle=False)"),
        ("class C:\n    def f(self): return eval(text)", "eval"),
        ("run = exec", "exec"),
        ("frame = pandas.read_pickle(path)", "read_pickle"),
        ("np.load(path, allow_pickle=False)\nre.compile(text)\nself.evaluate(x)", None),
    ],
)
def test_the_scan_sees_what_it_is_for(text: str, what: str | None) -> None:
    assert [found for _, found in _used(ast.parse(text))] == [what][: what is not None]


# ------------------------------------------------------------------------------- what a run really does

HOOK = """
import os, sys

_FILE, _OWN = os.environ["AUDIT_FILE"], os.environ["AUDIT_PACKAGE"]
_KNOWN = ("<difflab program", "<expressions>", "<calibration>")

def _hook(event, arguments):
    if event in ("pickle.find_class", "socket.connect", "os.system", "marshal.load"):
        told = f"{event} {arguments!r:.200}"
    elif event == "compile":
        try:
            frame = sys._getframe(1)
        except ValueError:  # Python itself, before any code runs
            return
        if not frame.f_code.co_filename.startswith(_OWN) or str(arguments[1]).startswith(_KNOWN):
            return
        told = f"compile {arguments[1]!r} in {frame.f_code.co_filename}:{frame.f_code.co_name}"
    else:
        return
    with open(_FILE, "a") as file:
        file.write(told + "\\n")

sys.addaudithook(_hook)
"""
RUN = """
title = "T"
question = "Q"
[[problem]]
name = "xor"
sizes = ["tiny"]
[limits]
seconds = 20
"""


@pytest.fixture
def audited(tmp_path: Path) -> dict[str, str]:
    """The environment in which every interpreter notes in a file what could run data."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    return {
        "PYTHONPATH": f"{tmp_path / 'hook'}{os.pathsep}{INSTALLED}",
        "AUDIT_FILE": str(tmp_path / "audit.txt"),
        "AUDIT_PACKAGE": str(INSTALLED / "difflab"),
    }


def _available() -> list[str]:
    return [one.name for one in backends.listing() if one.unavailable is None and one.name in backends.BUILT_IN]


@pytest.mark.long
def test_a_run_of_all_backends_unpickles_nothing(
    run_command: RunCommand, audited: dict[str, str], tmp_path: Path
) -> None:
    study = RUN + "".join(f'[[backend]]\nname = "{name}"\n' for name in _available())
    (tmp_path / "all.toml").write_text(study)
    done = run_command("run", "all.toml", "--quick", "--out", "run", **audited)
    assert done.returncode == 0, done.stderr
    assert not Path(audited["AUDIT_FILE"]).exists(), Path(audited["AUDIT_FILE"]).read_text()


def test_the_hook_sees_what_it_is_for(audited: dict[str, str]) -> None:
    code = "import pickle, collections\npickle.loads(pickle.dumps(collections.OrderedDict))\n"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **audited}, check=True, timeout=60)
    assert "pickle.find_class ('collections', 'OrderedDict')" in Path(audited["AUDIT_FILE"]).read_text()


# ------------------------------------------------------------------------------- hostile files


class Evil:
    """What a pickle can do: a call when it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


STORED = ("facts", "high0", "low0", "radius0", "known0", "vector0-0")


@pytest.mark.parametrize("name", STORED)
def test_a_reference_that_holds_objects_is_refused_and_not_unpickled(tmp_path: Path, name: str) -> None:
    path, victim, numbers = tmp_path / "reference.npz", tmp_path / "victim", [np.zeros(2)]
    direction = Direction(numbers, 1.0, 0.0, 0.0)
    known = [np.ones(2, bool)]
    Reference(numbers, numbers, numbers, 0.0, 1, 0, True, "", known=known, directions=[direction]).save(path)
    assert Reference.load(path).directions
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    assert set(arrays) == set(STORED)
    np.savez(path, **{**arrays, name: np.array([Evil(victim)], dtype=object)})
    with pytest.raises(StoreError, match="reference"):
        Reference.load(path)
    assert not victim.exists()
    with np.load(path, allow_pickle=True) as file:
        assert file[name] is not None
    assert victim.exists()  # what would have happened


# ------------------------------------------------------------------------------- hostile tapes and names

CODE = "__import__('pathlib').Path('/nowhere/difflab').touch()"
TAPE, ARRAYS = trace(lambda x: np.sum(x * x + np.ones(3)), np.ones(3)).tape.to_json()
SPOILT = (
    ("inputs", [0, f"1={CODE}"]),
    ("inputs", [0, True]),
    ("inputs", [-1]),
    ("constants", ["2"]),
    ("outputs", [CODE]),
    ("outputs", [4.0]),
    ("literals", [[CODE, ["int", "3"]]]),
    ("literals", [[2, ["code", CODE]]]),
    ("literals", [[2, ["int", CODE]]]),
    ("equations", [[CODE, [0], {}, 1]]),
    ("equations", [["multiply", [0, CODE], {}, 1]]),
    ("equations", [["multiply", [0, 0], {}, f"1\nimport os; {CODE}"]]),
    ("equations", [["reshape", [0], {"shape": [CODE]}, 1]]),
    ("equations", [["os:system", [0], {}, 1]]),
    ("guards", [[CODE, ["int", "3"]]]),
    ("guards", [[0, ["eval", CODE]]]),
    ("names", [[CODE, "x"]]),
    ("spans", [["softmax", CODE, 2, [0], 1, {}]]),
    ("quiet_from", CODE),
    ("avals", [[[3], "O", False]] * 5),
    ("avals", [[[CODE], "<f8", False]] * 5),
)


@pytest.mark.parametrize(("key", "value"), SPOILT)
def test_a_tape_whose_numbers_are_code_is_refused(key: str, value: Any) -> None:
    assert Tape.from_json(TAPE, ARRAYS).outputs == (4,)
    with pytest.raises((ValueError, KeyError, TypeError)):
        Tape.from_json(json.dumps({**json.loads(TAPE), key: value}), ARRAYS)


NAMES = st.one_of(st.text(max_size=20), st.sampled_from([CODE, "'];" + CODE + "#", 'a"\n' + CODE, "class", "", "v1"]))


@given(st.lists(NAMES, min_size=1, max_size=3, unique=True))
def test_names_of_parameters_never_become_code(names: list[str]) -> None:
    """Their tape runs, its programs hold no name, and what is written for people parses without a call of theirs."""
    params = {name: np.full(2, 1.0 + k) for k, name in enumerate(names)}

    def loss(params: dict[str, Any]) -> Any:
        return sum(np.sum(np.sin(params[name]) * params[name]) for name in params)

    seen = trace(loss, params)
    text, arrays = seen.tape.to_json()
    hostile = {**json.loads(text), "names": [[number, name] for number, name in enumerate(names)]}
    program = Program(Tape.from_json(json.dumps(hostile), arrays))
    leaves = [params[name] for name in sorted(params)]
    assert np.isclose(program.run(leaves)[0], loss(params))
    assert not any(name in program.text for name in names if len(name) > 12)
    called = {ast.unparse(one.func) for one in ast.walk(ast.parse(seen.to_numpy())) if isinstance(one, ast.Call)}
    assert all(one.startswith("np.") for one in called), called
    for backend in ("reverse", "symbolic"):
        gradient = difflab.gradient(loss, backend=backend)(params)
        assert np.allclose(gradient[names[0]], np.sin(params[names[0]]) + params[names[0]] * np.cos(params[names[0]]))


HOSTILE = (
    *("__import__('os').system('true')", "x.__class__", "lambda x: x", "[x for x in (1,)]", "f'{x}'", "(x:=3)", "x;x"),
    *("exec('1')", "eval('1')*x", "x[0]", "x@x", "x if x else 1", "'a'*x", "1j*x", "...*x", "x and x", "await x"),
    *("9**9**9*x", "x**9**9**9", "x**(9**9**9)", "(-1)**.5*x", "9" * 9000 + "*x", "1e400*x", "x" * 100_000, "x\x00"),
    *("(" * 5000 + "x", "(" * 4999 + "x" + ")" * 4999, "sin(" * 1000 + "x" + ")" * 1000, "-" * 9000 + "x"),
    *("x" + "+x" * 4999, "x" + "^2" * 4999, "x" + "^2" * 90, "x(" * 3000, "[" * 9000, "x#", "x\\\nx", "max(*x)", "x()"),
)


@pytest.mark.parametrize("expression", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_expression_is_one_sentence(expression: str) -> None:
    with pytest.raises(InputError) as caught:
        trace_text(expression, ["x=2"], None, False)
    assert str(caught.value).split("\n")[0].isprintable()


def test_every_depth_is_traced_or_refused() -> None:
    for depth in range(50, 1200, 25):
        for expression in ("-" * depth + "x", "x" + "+x" * depth, "sin(" * depth + "x" + ")" * depth):
            try:
                told = trace_text(expression, ["x=2"], None, False)
            except InputError as fault:
                told = str(fault)
            assert "x" in told


def test_the_command_line_refuses_code_with_exit_code_2(run_command: RunCommand) -> None:
    done = run_command("trace", "__import__('os').system('echo pwned')", "x=2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "what stands before ( is no function" in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------- what a worker imports

HEAVY = (
    *("pandas", "matplotlib", "sympy", "mpmath", "scipy", "flint", "jinja2", "typer", "rich", "click", "pydantic"),
    *("torch", "jax", "jaxlib", "autograd", "casadi", "symengine", "numdifftools", "cupy", "psutil", "hypothesis"),
    *("pytest", "distributed", "dask", "tornado", "pyarrow", "sqlite3", "asyncio", "multiprocessing", "concurrent"),
    *(
        "pickle",
        "unittest",
        "importlib.metadata",
        "email",
        "ssl",
        "http",
        "xml",
        "tkinter",
        "difflab.report",
        "difflab.cli.app",
        "difflab.lab",
    ),
)
NEEDED = {  # by backend: what of these it needs, and what for
    "symbolic": {"flint": "exact arithmetic of the constants in expressions"},
}
ALWAYS = {"pickle": "NumPy imports it, for arrays of objects; nothing is read with it"}
SESSION = """
import json, sys
from types import SimpleNamespace
from difflab.harness import worker
from difflab.harness.session import Session
session = Session(SimpleNamespace(say=lambda kind, **data: None, phase=lambda name: None))
spec = dict(problem="digits-mlp", size="tiny", dtype="float64", operator="gradient", backend=sys.argv[1], options={},
            seed=0)
session.open({"spec": spec})
session.forecast({})
session.prepare({"memory": True})
found = session.first({})
found |= session.calibrate({"least": 1e-4, "samples": 1, "rounds": 1, "gc": True})
found |= session.slice({"samples": 1, "rounds": 1, **{key: found[key] for key in ("call_s", "loops", "primal_loops")}})
session.memory({})
session.arrays({})
session.accuracy({})
heavy = json.loads(sys.argv[2])
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


@pytest.mark.parametrize("backend", _available())
def test_a_worker_imports_only_what_its_backend_needs(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SESSION, backend, json.dumps(HEAVY)],
        env={**os.environ, "PYTHONPATH": str(INSTALLED)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) <= set(NEEDED.get(backend, ())) | set(ALWAYS)


def test_every_exception_of_the_imports_is_of_a_backend_that_there_is() -> None:
    assert set(NEEDED) <= set(_available())
    assert {name for needed in NEEDED.values() for name in needed} | set(ALWAYS) <= set(HEAVY)
