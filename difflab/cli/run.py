"""The command ``difflab run``: a study, or a loss of the user's own, from the command line to its table and page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import StoreError
from .codes import EXIT_CODES, INTERRUPTED, NOTHING, OK, code_of, store_code
from .faults import AsJson, Left, say, show

EPILOG = f"""
\b
Examples:
  difflab run
  difflab run digits --quick
  difflab run net.py:loss --quick
  difflab run digits --dry-run
  difflab run my_study.toml --out results/first

A loss of your own is FILE.py:FUNCTION. Beside it stands `example`, a function that returns a tuple of its arguments,
the parameters first. Where `example` takes a size, a list such as sizes = [10, 100, 1000] says which there are. The
page holds the study as TOML; an entry with name = "net.py:loss" under [[problem]] names a loss in a study file.

To resume an interrupted run, give the same command again: same study text, --quick, --seed and --out. A finished run is
shown again and not measured again. The first Ctrl-C finishes the current round, the second stops at once.

Without --out a run goes to reports/STUDY, or to STUDY-2 and so on beside a run that is finished or measures something
else. With --out DIR it goes to DIR, which must be new, empty, or hold this very run.
{EXIT_CODES}"""
OPENERS = {"darwin": "open", "win32": "start"}


def attach(app: typer.Typer) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
    """

    @app.command(epilog=EPILOG)
    def run(
        study: Annotated[
            str,
            typer.Argument(
                metavar="[STUDY|FILE.py:FUNCTION]",
                help="A shipped study by name, the path of a .toml file, or a loss of your own.",
            ),
        ] = "digits",
        quick: Annotated[
            bool, typer.Option("--quick", help="One process per case: no intervals and no verdicts, but soon done.")
        ] = False,
        out: Annotated[
            Path | None,
            typer.Option("--out", metavar="DIR", help="The run folder (default: reports/STUDY, or STUDY-2 and so on)."),
        ] = None,
        seed: Annotated[
            int, typer.Option("--seed", min=0, metavar="N", help="Seed of the data and of the order of the cases.")
        ] = 0,
        cluster: Annotated[
            str | None,
            typer.Option(
                "--cluster", metavar="ADDRESS", help="A Dask scheduler (tcp://HOST:PORT), or local:N workers."
            ),
        ] = None,
        allow_env_change: Annotated[
            bool,
            typer.Option(
                "--allow-env-change", help="Resume a run that began on another machine or with other versions."
            ),
        ] = False,
        device: Annotated[
            str | None,
            typer.Option(
                "--device", metavar="DEVICE", help="cpu or gpu for all problems (default: what the study says)."
            ),
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Forecast every case, its time and its memory; run and write nothing.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Run a study or a loss of your own, or resume it, and write its page.

        Every case runs in a process of its own with limits of time and memory; what a case cannot do becomes a row with
        its reason. Interrupt with Ctrl-C at any time: nothing that is finished is lost or measured twice.
        """
        asked = {"quick": quick, "seed": seed, "device": device}
        again = command(study, **asked, out=out, cluster=cluster)
        if dry_run:
            from .forecast import forecast_alone

            others = {"--out": out, "--cluster": cluster, "--allow-env-change": allow_env_change}
            try:
                text, runs = forecast_alone(study, quick, seed, as_json, device, others)
            except KeyboardInterrupt:
                raise _interrupted(f"{again} --dry-run", None, as_json) from None
            show(text)
            raise typer.Exit(OK if runs else NOTHING)
        from ..lab import run as run_study
        from .progress import progress_on
        from .tables import results_text

        folder: list[Path] = []
        try:
            with progress_on(sys.stderr) as progress:

                def listen(event: dict[str, Any]) -> None:
                    if event["event"] == "run":
                        folder.append(Path(event["folder"]))
                    progress(event)

                results = run_study(
                    study, **asked, out=out, cluster=cluster, allow_env_change=allow_env_change, progress=listen
                )
        except KeyboardInterrupt:
            raise _interrupted(again, next(iter(folder), None), as_json) from None
        except StoreError as error:
            raise Left(str(error), store_code(error, out), type(error).__name__) from None
        show(_document(results) if as_json else results_text(results))
        if not as_json and sys.stdout.isatty():
            page = shlex.quote(str(results.folder / "index.html"))
            show(f"Open it with: {OPENERS.get(sys.platform, 'xdg-open')} {page}")
        raise typer.Exit(code_of(results.rows))


def command(study: str, *, quick: bool, seed: int, device: str | None, out: Path | None, cluster: str | None) -> str:
    """The command that asks for a run, as a shell takes it.

    Args:
        study, quick, seed, device, out, cluster: as the command takes them.

    >>> command("my study.toml", quick=True, seed=0, device=None, out=None, cluster="local:2")
    "difflab run 'my study.toml' --quick --cluster local:2"
    """
    words = ["difflab", "run", study, *["--quick"] * quick]
    words += [] if out is None else ["--out", str(out)]
    words += ["--seed", str(seed)] if seed else []
    words += [] if cluster is None else ["--cluster", cluster]
    words += [] if device is None else ["--device", device]
    return shlex.join(words)


def _document(results: Any, **more: Any) -> str:
    from .tables import json_text, results_document

    return json_text({**results_document(results), **more})


def _interrupted(again: str, folder: Path | None, as_json: bool) -> BaseException:
    """How the command ends after an interrupt: with the command that resumes, and what there is as a document."""
    from ..harness.store import MANIFEST

    stored = folder is not None and (folder / MANIFEST).is_file()
    if not as_json:
        there = folder is not None and (folder / "index.html").is_file()
        page = f" Page of what there is: {folder / 'index.html'}." if stored and there and folder else ""
        kept = "what is measured is stored" if stored else "nothing was stored"
        return Left(f"Interrupted; {kept}.{page} To go on: {again}", INTERRUPTED, "KeyboardInterrupt")
    say(f"Interrupted. To go on: {again}")
    from ..lab import load
    from .tables import json_text

    more = {"interrupted": True, "resume": again}
    show(_document(load(folder), **more) if stored and folder else json_text(more))
    return SystemExit(INTERRUPTED)
