"""The evaluation trace from the command line: what is read, what is refused, and what is printed."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from difflab.cli import app as cli
from difflab.cli.trace import trace_text
from difflab.errors import InputError
from difflab.walk.columns import walk
from difflab.walk.expression import parse
from difflab.walk.given import read_values

BAYDIN = "log(x1)+x1*x2-sin(x2)"
TIMES, MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"

# ---------------------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x^2*3", 12.0),
        ("-x^2", -4.0),
        ("2^3^2/x", 256.0),
        ("x**-1", 0.5),
        ("max(x, 1, 7) + min(x, 1)", 8.0),
        ("ln(e^x) + sin(pi)*x", 2.0),
        ("  ( x\n + 1 ) ", 3.0),
        ("x - 1 - 1", 0.0),
        ("1e3*x + .5", 2000.5),
        (f"x²{TIMES}3 {MINUS} x·x÷x", 10.0),
        ("x³⋅π", 8 * math.pi),
    ],
)
def test_formulas_mean_what_people_mean(text: str, value: float) -> None:
    assert float(parse(text).function(2.0)) == pytest.approx(value)
    assert float(walk(parse(text).function, 2.0).value) == pytest.approx(value)


TEXTS = {
    "": "the expression is empty",
    "2*lgo(x)": "column 3: there is no function 'lgo' (did you mean 'log'?)\n  2*lgo(x)\n    ^",
    "x^2 + foo(x)": "column 7: there is no function 'foo'",
    "x^2 + x^2 + 2 x": "column 15: this cannot be read (invalid syntax); a product is written with *, as in 2*x",
    "x + log": "column 5: log is a function; write log(...)",
    "log(x, 2)": "column 1: log takes one argument, not 2",
    "max(x, y=2)": "column 1: max takes one argument or more, none by name such as y=",
    "1 + np.log(x)": "column 5: write log(...), without what stands before the dot",
    "2(x)": "column 1: what stands before ( is no function; a product is written with *, as in 2*(x)",
    "log(x": "column 4: this cannot be read ('(' was never closed)",
    "x if x else 1": "column 1: only numbers, names, + - * / ** ( )",
    "x + True": "column 5: only numbers",
    "x + 'a'": "column 5: only numbers",
    "x # y": "column 3: there are no comments in an expression",
    "[i for i in x]": "column 1: only numbers",
    "__import__('os').system('ls')": "column 1: what stands before ( is no function",
    "1e999*x": "column 1: this number is too large for float64",
    "x+" * 6000 + "x": "the expression has 12,001 characters; at most 10,000 are read",
    "-" * 9000 + "x": "nested too deep",
    f"x{TIMES}2 + lambda*x": f"column 7: lambda is a word of Python; name the variable lambda_ instead\n  x{TIMES}2 +",
    "x² + √x": "column 6: this cannot be read (invalid character '√' (U+221A))",
    "(" * 300 + "x" + ")" * 300: "too many nested parentheses",
}


@pytest.mark.parametrize(("text", "message"), TEXTS.items(), ids=[text[:20] for text in TEXTS])
def test_text_that_cannot_be_read_says_where_and_why(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["1/0*x", "x + 9**9**9**9", "(-8)**0.5*x", "log(-1)*x", "log(0)*x"])
def test_number_that_does_not_exist_is_a_fault_with_its_column(text: str) -> None:
    with pytest.raises(InputError, match=r"^column \d+: this part has no finite real value"):
        walk(parse(text).function, 1.0)


def test_shapes_that_do_not_fit_are_a_fault_with_its_column() -> None:
    with pytest.raises(InputError, match=r"^column 5: this cannot be computed: `add`: shape mismatch"):
        walk(parse("sum(x+y)").function, np.ones(2), np.ones(3))


def test_values_are_numbers_formulas_of_numbers_and_lists() -> None:
    first, second, third = read_values(["c=[1, 2.5]", "a=-1e-3", "b = pi/2"], ["a", "b", "c"])
    assert (first, second) == (-1e-3, math.pi / 2)
    assert third.tolist() == [1.0, 2.5]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no value for x1, x2; add x1=1 x2=1, for example"),
        (["x1=1"], "no value for x2; add x2=1, for example"),
        (["x1=1", "x2=1", "x3=1"], "x3 does not occur in the expression (known: x1, x2)"),
        (["x1=1", "x22=1"], "x22 does not occur in the expression (did you mean 'x2'?)"),
        (["x1=1", "x1=2"], "x1 has two values; give it one"),
        (["x1", "x2=1"], "'x1' is no value; write NAME=NUMBER, such as x1=2"),
        (["x1=one"], "x1=one is no number: 'one' has no value here; write x1=2 or x1=[1, 2, 3]"),
        (["x1=[1, [2]]"], "x1=[1, [2]] is no list of finite numbers; write x1=[1, 2, 3]"),
        (["x1=[null]"], "x1=[null] is no list of finite numbers"),
        (["x1=[true, 2]"], "x1=[true, 2] is no list of finite numbers"),
        (['x1=["1"]'], 'x1=["1"] is no list of finite numbers'),
        (["x1=[1, NaN]"], "x1=[1, NaN] is no list of finite numbers"),
        (["x1=[1e999]"], "x1=[1e999] is no list of finite numbers"),
        (["x1=[" + "9" * 400 + "]"], "9... is no list of finite numbers"),
        (["x1=" + "[" * 5000], "[... is no list of finite numbers"),
        (["x1=" + "[" * 70 + "1" + "]" * 70], "[... is no list of finite numbers"),
        (["x1="], "x1= is no number: the expression is empty"),
        (["pi=3"], "pi is a number of its own and no variable"),
    ],
)
def test_values_that_do_not_fit_say_so(pairs: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_values(pairs, ["x1", "x2"])
    assert message in str(caught.value)


# ---------------------------------------------------------------------------- the command

SHOWN = """\
value  is       primal    tangent d/dx1  adjoint dy/dv  gate
x1     input    2         1              5.5            copy adds (2 uses)
x2     input    5         0              1.7163         copy adds (2 uses)
v1     log(x1)  0.69315   0.5            1              scales by 1/x1
v2     x1 * x2  10        5              1              multiply swaps
v3     sin(x2)  -0.95892  0              -1             scales by cos(x2)
v4     v1 + v2  10.693    5.5            1              add distributes
v5     v4 - v3  11.652    5.5            1              subtract distributes, with -1 to the second

y = v5 = 11.652
forward, read downwards:  dy/dx1 = 5.5
reverse, read upwards:    dy/dx1 = 5.5  dy/dx2 = 1.7163
"""


def invoke(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["trace", *arguments])
    return 0 if left.value.code is None else int(left.value.code)


def test_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(BAYDIN, "x1=2", "x2=5") == 0
    assert capsys.readouterr().out == SHOWN


def test_command_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(BAYDIN, "x1=2", "x2=5", "--seed", "x2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["expression"] == BAYDIN
    assert found["trace"]["seed"] == "x2"
    assert found["trace"]["gradient"] == {"x1": 5.5, "x2": 2 - math.cos(5)}
    assert [row["name"] for row in found["trace"]["rows"]] == ["x1", "x2", "v1", "v2", "v3", "v4", "v5"]


def test_command_takes_a_leading_minus_after_two_hyphens(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("--", "-x^2", "x=3") == 0
    assert "reverse, read upwards:    dy/dx = -6" in capsys.readouterr().out


def test_signs_that_look_alike_are_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    micro, mu = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"
    for typed in (micro, mu):
        assert invoke(f"{micro}*2", f"{typed}=3", "--seed", typed) == 0
        assert f"reverse, read upwards:    dy/d{mu} = 2" in capsys.readouterr().out


def test_lines_never_have_the_name_of_a_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("v2*x*3", "v2=2", "x=3") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:5]] == ["v2", "x", "v_1", "v_2"]
    assert invoke("v1*v_2*3", "v1=1", "v_2=2", "--json") == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)["trace"]["rows"]]
    assert names == ["v1", "v_2", "v__1", "v__2"]


def test_variables_may_have_all_the_letters_of_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["y", "f", "z", "output", "output_"]
    assert invoke("*".join(names), *[f"{name}=2" for name in names]) == 0
    assert "reverse, read upwards:    doutput__/dy = 16" in capsys.readouterr().out


def test_command_names_lines_that_are_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("sqrt(x)+log(y)", "x=-1", "y=0") == 0
    shown = capsys.readouterr()
    assert shown.out.endswith("not finite: v1, v2, v3\n")
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["log(x1"], "difflab: column 4: this cannot be read ('(' was never closed)\n  log(x1\n     ^\n"),
        (["x*y", "x=1"], "difflab: no value for y; add y=1, for example\n"),
        (["2+3"], "difflab: the expression names no variable, so there is nothing to differentiate by\n"),
        (["x*y", "x=1", "y=2", "--seed", "z"], "difflab: there is no input 'z' to differentiate by (known: x, y)\n"),
        (["x*2", "x=[1,2]"], "difflab: the result has shape (2,) and a gradient needs one number; take its sum(...)\n"),
    ],
)
def test_command_refuses_bad_input_with_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(*arguments) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", message)


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert 'difflab trace "log(x1)+x1*x2-sin(x2)" x1=2 x2=5' in text
    assert "Exit codes: 0 all well; 2 bad input" in text


def test_text_and_json_tell_the_same() -> None:
    document = json.loads(trace_text("x*y", ["x=2", "y=3"], None, True))["trace"]
    assert document["value"] == 6
    assert [row["adjoint"] for row in document["rows"]] == [3, 2, 1]


def test_code_runs_and_gives_the_gradient(run_command: Any) -> None:
    done = run_command("trace", "log(x1)+x1*x2-sin(x2)", "x1=2", "x2=5", "--code")
    assert (done.returncode, done.stderr) == (0, "")
    space: dict[str, Any] = {}
    exec(compile(done.stdout, "printed", "exec"), space)
    value, gradient = space["value_and_gradient"](2.0, 5.0)
    assert float(value) == pytest.approx(11.652, abs=5e-4)
    assert [float(part) for part in gradient] == pytest.approx([5.5, 2 - math.cos(5)], rel=1e-15)


def test_code_is_not_seeded_and_goes_into_a_document() -> None:
    with pytest.raises(InputError, match="goes with neither --seed nor --html"):
        trace_text("a*b", ["a=1", "b=2"], "a", False, as_code=True)
    found = json.loads(trace_text("a*b", ["a=1", "b=2"], None, True, as_code=True))
    assert found["expression"] == "a*b"
    assert found["code"] == trace_text("a*b", ["a=1", "b=2"], None, False, as_code=True)
