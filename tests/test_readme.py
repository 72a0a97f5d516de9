"""What README shows must run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
COMPLETE = [block for block in BLOCKS if "import difflab" in block]
MODULES = [block for block in BLOCKS if block.startswith("# my_module.py")]
TOML = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_readme_has_examples_to_run():
    assert len(COMPLETE) == 3
    assert len(TOML) == 1
    assert len(MODULES) == 1


@pytest.mark.parametrize("code", COMPLETE, ids=["own loss", "own operation", "own primitive"])
def test_example_runs_in_a_fresh_interpreter(code, tmp_path):
    checks = {
        "found.save": (
            "assert set(found.frame['outcome']) == {'ok'}\n"
            "judged = dl.compare(loss, params, x, y, backends=['reverse'], analytic=by_hand)\n"
            "assert judged.frame['outcome'].tolist() == ['ok', 'invalid']"
        ),
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
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{check}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(README.parent), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_every_backend_and_study_is_named():
    from difflab.backends import BUILT_IN, PEERS

    text = README.read_text(encoding="utf-8")
    for name in (*BUILT_IN, *PEERS):
        assert f"| `{name}` |" in text
    for study in (README.parent / "studies").glob("*.toml"):
        assert f"`{study.stem}`" in text


def test_the_study_runs_with_the_loss_beside_it(tmp_path):
    (tmp_path / "mine.toml").write_text(TOML[0], encoding="utf-8")
    (tmp_path / "my_module.py").write_text(MODULES[0], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "difflab", "run", "mine.toml", "--quick", "--out", "found"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(README.parent), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 4
    assert (tmp_path / "found" / "index.html").exists()


def test_what_readme_links_to_is_there():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / link).exists(), link
