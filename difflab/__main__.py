"""``python -m difflab`` and the command ``difflab``: the command line; the version is told without loading it."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line with the arguments of the process, and leave with its exit code.

    Raises:
        SystemExit: always.

    Example:
        >>> import subprocess, sys
        >>> subprocess.run([sys.executable, "-m", "difflab", "--version"], capture_output=True).returncode
        0
    """
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        from . import __version__

        print(f"difflab {__version__}")
        sys.exit(0)
    from .cli.app import main as whole

    whole()


if __name__ == "__main__":
    main()
