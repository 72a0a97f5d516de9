"""What several test modules share: hypothesis' settings, the command line as a subprocess, a real browser."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

import difflab
import difflab.numpy_functions  # NumPy, and with it its BLAS, whose threads are limited below

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = Path(difflab.__file__).resolve().parent.parent  # site-packages, or ROOT when run from the source tree

# The same examples on every machine and in every run, and no deadline: a busy machine is not a fault of the code.
settings.register_profile("difflab", derandomize=True, deadline=None, max_examples=30, database=None)
settings.load_profile("difflab")


def pytest_configure(config: pytest.Config) -> None:
    if sys.dont_write_bytecode and getattr(config, "cache", None) is not None:
        # The suite starts hundreds of interpreters: bytecode that may not lie beside the source goes to pytest's cache.
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if "PYTEST_XDIST_WORKER" in os.environ:
        # As many workers as processors: threads of BLAS would only wait for each other, spinning.
        threadpool_limits(1)
    # Runs of the suite need not wait for each other, nor for a run that the user has started: no test looks at a time.
    os.environ["DIFFLAB_LOCK_FOLDER"] = tempfile.mkdtemp(prefix="difflab-lock-")
    # A suite that a shell started in the background inherits an ignored Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    _settle()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path != item.path:
        _settle()


def _settle() -> None:
    """What is there now stays for good: what measures memory collects garbage often, and need not walk it again."""
    gc.collect()
    gc.freeze()


RunCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root folder of the source tree."""
    return ROOT


def command_in(folder: Path) -> RunCommand:
    """What runs difflab in a process of its own and this folder."""

    def run(*arguments: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "difflab", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(INSTALLED), "COLUMNS": "120", "NO_COLOR": "1", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def run_command(tmp_path: Path) -> RunCommand:
    """``run_command("list", "--json")`` runs difflab in a process and an empty folder of its own."""
    return command_in(tmp_path)


@pytest.fixture(scope="session")
def modules_after(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], set[str]]:
    """``modules_after("import difflab")`` is the set of modules that this statement loads in a fresh interpreter."""

    folder = tmp_path_factory.mktemp("modules")

    def modules(statement: str) -> set[str]:
        probe = f"import sys\n{statement}\nprint('\\n' + '\\n'.join(sys.modules), file=sys.stderr)"
        done = subprocess.run(
            [sys.executable, "-c", probe],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(INSTALLED)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return set(done.stderr.splitlines())

    return modules


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Headless Chromium of this machine, driven by Playwright; for tests marked ``browser``."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.fail("no Chromium was found; on Debian: apt-get install chromium (as .ci/run does)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
