"""What README shows must run as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
PAGES = [README, *sorted((README.parent / "docs").glob("*.md"))]
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
COMPLETE = [block for block in BLOCKS if "import difflab" in block]
LOSSES = [block for block in BLOCKS if block.startswith("# mine.py")]
COMMANDS = re.findall(r"^(difflab .*?mine\.py.*?)(?:  +#.*)?$", README.read_text(encoding="utf-8"), re.MULTILINE)
MODULES = [block for block in BLOCKS if block.startswith("# my_module.py")]
TOML = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_readme_has_examples_to_run():
    assert len(COMPLETE) == 4
    assert len(TOML) == len(MODULES) == len(LOSSES) == 1
    assert [command.split()[1] for command in COMMANDS] == ["compare", "recommend", "run"]


@pytest.mark.parametrize("code", COMPLETE, ids=["own loss", "own backend", "own operation", "own primitive"])
def test_example_runs_in_a_fresh_interpreter(code, tmp_path):
    checks = {
        "found.save": (
            "assert set(found.frame['outcome']) == {'ok'}\n"
            "judged = dl.compare(loss, params, x, y, backends=['reverse'], analytic=by_hand)\n"
            "assert judged.frame['outcome'].tolist() == ['ok', 'invalid']"
        ),
        "OneSided": "assert found.frame['outcome'].tolist() == ['ok'] * 3 and found.frame['worst_digits'][0] < 9",
        "gate": (
            "x = np.array([0.3, -0.7])\n"
            "plain = dl.hessian(lambda x: np.sum(x * np.tanh(2 * x)))(x)\n"
            "assert np.allclose(dl.hessian(lambda x: np.sum(gate(x, x, k=2)))(x), plain)\n"
            "assert np.isclose(dl.gradient(lambda x: gamma(x))(3.0), 0.9227843350984671)"
        ),
        "spence": (
            "x = np.array([0.3, 0.6])\n"
            "assert np.allclose(dl.gradient(lambda x: np.sum(spence(x)))(x), np.log(x) / (1 - x))\n"
            "found = dl.compare(lambda x: np.sum(spence(x)), x, backends=['finite', 'forward', 'reverse'])\n"
            "assert 'neither balls nor symbols' in found.frame['certified'].iloc[1], str(found)"
        ),
    }
    check = next(text for mark, text in checks.items() if mark in code)
    done = _run([sys.executable, "-W", "error", "-c", f"{code}\n{check}"], tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_page_on_structure_runs_from_top_to_bottom(tmp_path):
    text = (README.parent / "docs" / "structure.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    check = (
        "assert J.shape == (500, 500) and dl.sparsity(burgers, v).nnz == 1500\n"
        "assert np.allclose(total, J.T @ J)\n"
        "assert np.allclose(A @ step, dl.jacobian(residual)(v) @ step)\n"
        "assert np.allclose(G @ step, dl.gauss_newton(residual)(v, step))\n"
        "assert np.allclose(dl.hessian_diagonal(loss)(v), np.diag(dl.hessian(loss)(v)))\n"
    )
    done = _run([sys.executable, "-W", "error", "-c", f"{code}\n{check}"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Jacobian of 100000 x 100000: 300000 entries can be non-zero")


def test_every_backend_and_study_is_named():
    from difflab.backends import BUILT_IN, PEERS

    text = README.read_text(encoding="utf-8")
    for name in (*BUILT_IN, *PEERS):
        assert f"| `{name}` |" in text
    for study in (README.parent / "studies").glob("*.toml"):
        assert f"`{study.stem}`" in text


@pytest.mark.long
def test_the_study_runs_with_the_loss_beside_it(tmp_path):
    (tmp_path / "mine.toml").write_text(TOML[0], encoding="utf-8")
    (tmp_path / "my_module.py").write_text(MODULES[0], encoding="utf-8")
    done = _run([sys.executable, "-m", "difflab", "run", "mine.toml", "--quick", "--out", "found"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 4
    assert (tmp_path / "found" / "index.html").exists()


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[1])
def test_commands_for_a_loss_of_ones_own_run(command, tmp_path):
    (tmp_path / "mine.py").write_text(LOSSES[0], encoding="utf-8")
    _, *words = shlex.split(command)
    done = _run([sys.executable, "-m", "difflab", *words, *["--quick"] * (words[0] == "run")], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reverse" in done.stdout
    if words[0] == "recommend":
        return
    page = tmp_path / ("mine.html" if words[0] == "compare" else "reports/loss/index.html")
    assert "<!DOCTYPE html>" in page.read_text(encoding="utf-8")


@pytest.mark.long
def test_the_piece_of_research_runs(tmp_path):
    script = README.parent / "examples" / "research.py"
    done = _run([sys.executable, "-W", "error", str(script), str(tmp_path / "found")], tmp_path)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "found" / "oscillators.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 3 * 4
    assert all(",ok," in row for row in rows[1:])
    assert (tmp_path / "found" / "oscillators.pdf").read_bytes().startswith(b"%PDF")


def _run(command, folder):
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(README.parent), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_linked_to_is_there(page):
    text = page.read_text(encoding="utf-8")
    for link, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
