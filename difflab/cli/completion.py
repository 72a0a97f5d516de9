"""``difflab completion``: the script that makes a shell complete commands, options and their values.

The script asks difflab itself for candidates.  Which ones there are for a value is told by its metavar, the word that
stands for it in the help: STUDY, RUN, DEVICE.  What has no entry in ``VALUES`` is left to the shell: files and folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from ..errors import InputError, did_you_mean
from .faults import show

BASH = """\
# difflab: to be read by bash, as with  eval "$(difflab completion bash)"  in ~/.bashrc
_difflab() {
    local candidates
    mapfile -t candidates < <("$1" completion --of "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    COMPREPLY=("${candidates[@]%%$'\\t'*}")
}
complete -o default -o bashdefault -F _difflab difflab
"""
ZSH = """\
#compdef difflab
# difflab: to be read by zsh, as with  eval "$(difflab completion zsh)"  after compinit in ~/.zshrc
_difflab() {
    local -a candidates
    candidates=("${(@f)$("${words[1]}" completion --of "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -z "${candidates[1]}" ]]; then
        _files
    else
        candidates=("${(@)candidates//:/\\\\:}")
        candidates=("${(@)candidates/$'\\t'/:}")
        _describe difflab candidates
    fi
}
compdef _difflab difflab
"""
FISH = """\
# difflab: to be read by fish, as with  difflab completion fish | source  in ~/.config/fish/config.fish
function __difflab_candidates
    set -l before (commandline --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l candidates ($before[1] completion --of $before[2..-1] -- "$current" 2>/dev/null)
    if test (count $candidates) -gt 0
        printf '%s\\n' $candidates
    else
        __fish_complete_path "$current"
    end
end
complete --command difflab --no-files --arguments '(__difflab_candidates)'
"""
SCRIPTS: Mapping[str, str] = MappingProxyType({"bash": BASH, "zsh": ZSH, "fish": FISH})
COMPLETION_EPILOG = """
\b
Examples:
  eval "$(difflab completion bash)"
  difflab completion zsh
  difflab completion fish

The first line is for ~/.bashrc. For zsh write eval "$(difflab completion zsh)" into ~/.zshrc after compinit, for fish
difflab completion fish | source into ~/.config/fish/config.fish.

Exit codes: 0 all well; 2 an unknown shell; 70 a fault of difflab.
"""
Candidates = Iterable[tuple[str, str]]
OF = "--of"
"""What the scripts ask with; all words after it are those of the line that is completed, the last one unfinished."""


def attach(app: typer.Typer) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
    """

    @app.command(epilog=COMPLETION_EPILOG)
    def completion(
        shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")
        ] = False,
    ) -> None:
        """Print the script that makes a shell complete commands, options, studies, problems, backends and runs."""
        if shell not in SCRIPTS:
            raise InputError(f"unknown shell {shell!r} {did_you_mean(shell, list(SCRIPTS))}")
        script = SCRIPTS[shell].rstrip()
        if as_json:
            from .tables import json_text

            script = json_text({"shell": shell, "script": script})
        show(script)


def answer(app: typer.Typer, words: Sequence[str]) -> None:
    """Print the candidates for the last word, one a line with what it means after a tab.

    Args:
        app: the command line.
        words: what was typed after ``difflab``; fish puts ``--`` before the last one.
    """
    before, current = list(words[:-1]), words[-1] if words else ""
    if len(words) > 1 and words[-2] == "--" and "--" not in words[:-2]:
        before = before[:-1]
    found = candidates(typer.main.get_command(app), before, current)
    if found:
        show("\n".join(f"{value}\t{meaning}" if meaning else value for value, meaning in found))


def candidates(command: Any, before: Sequence[str], current: str) -> list[tuple[str, str]]:
    """What the last word of a command line may become.

    Args:
        command: the whole command line, as typer builds it.
        before: the words before it, without ``difflab``.
        current: what there is of the word.

    Returns:
        Words that begin so, each with what it means.
    """
    name = next((word for word in before if not word.startswith("-")), None)
    if name is None:
        subcommands = [(one, _sentence(sub.help)) for one, sub in command.commands.items() if not sub.hidden]
        return _fitting([*subcommands, *_options(command, before)], current)
    chosen = command.commands.get(name)
    if chosen is None:
        return []
    rest = list(before[before.index(name) + 1 :])
    options = {spelling: one for one in chosen.params for spelling in one.opts if one.param_type_name == "option"}
    if rest and rest[-1] in options and not options[rest[-1]].is_flag:
        return _fitting(_values(options[rest[-1]], rest, current), current)
    option, equals, begun = current.partition("=")
    if equals and option in options and not options[option].is_flag:
        return _fitting([(f"{option}={one}", text) for one, text in _values(options[option], rest, begun)], current)
    if current.startswith("-") and "--" not in rest:
        return _fitting(_options(chosen, rest), current)
    argument = _argument(chosen, rest, options)
    return _fitting(_values(argument, rest, current) if argument is not None else [], current)


def _argument(command: Any, rest: Sequence[str], options: Mapping[str, Any]) -> Any:
    """The positional argument that comes next."""
    taken, skip = 0, False
    for word in rest:
        if skip:
            skip = False
        elif word in options:
            skip = not options[word].is_flag
        elif not word.startswith("-"):
            taken += 1
    positional = [one for one in command.params if one.param_type_name == "argument"]
    if taken < len(positional):
        return positional[taken]
    return positional[-1] if positional and positional[-1].nargs == -1 else None


def _options(command: Any, used: Sequence[str]) -> Candidates:
    for one in command.params:
        if one.param_type_name == "option" and (one.multiple or not set(one.opts) & set(used)):
            yield from ((spelling, _sentence(one.help)) for spelling in one.opts if spelling.startswith("--"))
    yield "--help", "Show this message and exit."


def words_of(parameter: Any) -> list[str]:
    """The words of a metavar, such as STUDY and FILE.py:FUNCTION of [STUDY|FILE.py:FUNCTION].

    Args:
        parameter: of a command, as typer builds it.
    """
    return re.findall(r"[\w.:=]+", parameter.metavar or "")


def _values(parameter: Any, rest: Sequence[str], current: str) -> Candidates:
    words = words_of(parameter)
    found = [one for word in words if word in VALUES for one in VALUES[word](rest)]
    before, comma, _ = current.rpartition(",")
    return [(f"{before}{comma}{value}", meaning) for value, meaning in found] if "BACKENDS" in words else found


def _fitting(found: Candidates, current: str) -> list[tuple[str, str]]:
    return [(value, meaning) for value, meaning in found if value.startswith(current)]


def _sentence(text: str | None) -> str:
    """The first sentence of a help."""
    return " ".join((text or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


# ------------------------------------------------------------------------------------------------ values by metavar


def _studies(rest: Sequence[str]) -> Candidates:
    import tomllib

    from ..harness.study import shipped

    for name, path in shipped().items():
        yield name, str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))
    yield from ((str(path), "a study file") for path in sorted(Path().glob("*.toml")) if path.name != "pyproject.toml")


def _problems(rest: Sequence[str]) -> Candidates:
    from ..problems import PROBLEMS

    return [(name, problem.title) for name, problem in PROBLEMS.items()]


def _sizes(rest: Sequence[str]) -> Candidates:
    from ..problems import PROBLEMS

    named = next((PROBLEMS[word] for word in rest if word in PROBLEMS), None)
    return [] if named is None else [(size, "") for size in named.sizes]


def _backends(rest: Sequence[str]) -> Candidates:
    from .. import backends

    return [(name, "") for name in backends.names()]


def _runs(rest: Sequence[str]) -> Candidates:
    from ..harness.store import EVENTS

    for folder in sorted({path.parent for pattern in ("*", "*/*") for path in Path().glob(f"{pattern}/{EVENTS}")}):
        if os.access(folder, os.R_OK):
            yield str(folder), "a run"


def _tables(rest: Sequence[str]) -> Candidates:
    from ..harness.export import TABLES

    return [(name, "") for name in TABLES]


def _listed(*names: str) -> Callable[[Sequence[str]], Candidates]:
    return lambda rest: [(name, "") for name in names]


VALUES: Mapping[str, Callable[[Sequence[str]], Candidates]] = MappingProxyType(
    {
        "STUDY": _studies,
        "RUN": _runs,
        "BEFORE": _runs,
        "AFTER": _runs,
        "EXPRESSION": _problems,
        "SIZE": _sizes,
        "BACKENDS": _backends,
        "OPERATOR": _listed("gradient", "jacobian", "jvp", "vjp", "hvp", "hessian"),
        "TABLE": _tables,
        "DEVICE": _listed("cpu", "gpu"),
        "SHELL": _listed(*SCRIPTS),
        "FORM": _listed("latex", "srepr", "python", "numpy", "cupy", "c"),
        "WAY": _listed("dag", "tree"),
        "DATA": _listed("numbers", "symbols"),
        "ENGINE": _listed("sympy", "symengine"),
        "WHAT": _listed("problems", "studies", "backends", "operators", "traps"),
    }
)
