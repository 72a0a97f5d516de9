"""Studies to be spoilt, texts that are no TOML, and every value that a key does not take.

Each text has a caret before every place at which a fault is to be told.
"""

from __future__ import annotations

from typing import NamedTuple

CARET = "‸"
GOOD = """\
title = "T"
question = "Q?"
look_for = "L"
answer = "compare"
operator = "gradient"
baseline = "reverse"

[[problem]]
name = "digits-mlp"
sizes = ["tiny", "small"]
dtypes = ["float64"]
quick = ["tiny"]

[[backend]]
name = "reverse"

[[backend]]
name = "finite"
label = "differences"
scheme = "forward"

[limits]
seconds = 20
memory = "1 GiB"
reference_seconds = 30

[timing]
processes = 6
most_processes = 15
target = 0.02
samples = 9
sample_ms = 1.0
rounds = 3
budget_s = 90
threads = 1
gc = true
"""
ONCE = """\
title = "T"
question = "Q?"
answer = "training"
[[problem]]
name = "digits-mlp"
[[backend]]
name = "reverse"
[training]
steps = 50
seconds = 2
"""
STEPS = """\
title = "T"
question = "Q?"
answer = "steps"
[[problem]]
name = "digits-mlp"
[[backend]]
name = "finite"
[steps]
from = 1e-1
per_decade = 2
[steps.float64]
to = 1e-9
"""
CHAIN = ONCE.replace('"training"', '"chain"').split("[training]")[0] + "[chain]\nscales = [1, 3]\n"


PROBLEM_TABLE = GOOD[GOOD.index("[[problem]]") : GOOD.index("\n[[backend]]")]


class Bad(NamedTuple):
    """A text with carets, and a part of each message in the order of the carets."""

    text: str
    says: tuple[str, ...]


def but(old: str, new: str, *says: str, text: str = GOOD) -> Bad:
    """The good study with one piece changed."""
    assert text.count(old) == 1, old
    return Bad(text.replace(old, new), says)


def plain(bad: Bad) -> tuple[str, list[tuple[int, int]]]:
    """The text without its carets, and the places (line and column from 1) where they stood."""
    text, places = "", []
    for piece in bad.text.split(CARET):
        text += piece
        lines = text.split("\n")
        places.append((len(lines), len(lines[-1]) + 1))
    return text, places[:-1]


# what no number may be; a caret stands where its place is
NO_NUMBERS = (
    '"‸20"', "‸true", "‸-1", "‸nan", "‸inf", "‸-inf", "‸1e308", "‸1979-05-27", "‸07:32:00", "‸1979-05-27T07:32:00Z",
    "‸[20]", "‸[]", "‸{ s = 20 }", "‸[[1], [2]]", "‸0x" + "f" * 6000, "‸9223372036854775808", '"""‸20"""', '"‸"',
)  # fmt: skip
WHOLE = ("processes = 6", "most_processes = 15", "samples = 9", "rounds = 3", "threads = 1")
FRACTIONS = ("target = 0.02", "sample_ms = 1.0", "budget_s = 90", "\nseconds = 20", "reference_seconds = 30")
NO_MEMORY = (
    '"‸1 Gb"', '"‸1 gib"', '"‸1"', '"‸GiB"', '"‸-1 GiB"', '"‸1 KiB"', '"‸1e3 MiB"', '"‸99999999 TiB"', "‸0", "‸1.5",
    '"‸' + "9" * 400 + ' MiB"', "‸1048575", "‸false", "‸nan", "‸[1]", "‸1979-05-27", "‸9223372036854775807",
)  # fmt: skip
TEXTS = ('title = "T"', 'question = "Q?"', 'look_for = "L"', 'answer = "compare"', 'operator = "gradient"')
TEXTS += ('baseline = "reverse"', 'label = "differences"')
NO_TEXTS = ("‸3", "‸true", '"‸"', '"‸ \\t "', "‸[]", '‸["a"]', "‸{}", "‸nan", "‸07:32:00")
CONTROLS = ('"‸a\\u0000"', '"‸\\u001b[31m"', '"‸a\\u202eb"', '"‸a\\u2028b"', '"‸\\u0085a"', '"‸\\u200fa"')


def values() -> dict[str, Bad]:
    """Every key that takes a number, a size or a text, with everything that it is not."""
    found: dict[str, Bad] = {}
    for lines, more, says in (
        (WHOLE, ("‸0", "‸1.5", "‸6.0", "‸1e1"), "must be a whole number from 1 to "),
        (FRACTIONS, (), "must be a number from "),
        (('memory = "1 GiB"',), NO_MEMORY, "must be a size of at least 1 MiB and at most 1024 TiB such as"),
        (TEXTS, NO_TEXTS, "must be a text, got "),
        (TEXTS, CONTROLS, "must be a text without control characters, and this one holds the control character U+"),
        (("gc = true",), ('"‸true"', "‸1", "‸0.0", "‸[]", "‸07:32:00"), "must be true or false, got "),
    ):
        values = NO_NUMBERS + more if "number" in says else more
        for line in lines:
            key = line.split(" = ")[0]
            found |= {
                f"{key} = {one[:30]}".strip(): but(line, f"{key} = {one}", f"{key.strip()}: {says}") for one in values
            }
    return found


SYNTAX = {
    "no value": Bad("title =‸\n" + GOOD[12:], ("Invalid value",)),
    "no value at the end": Bad("title = ‸", ("Invalid value at the end of the file",)),
    "no equals sign": Bad('title ‸"T"\n', ("Expected '=' after a key in a key/value pair",)),
    "no key": Bad("a = 1\n‸= 1\n", ("Invalid statement",)),
    "a bare word": but('"T"', "‸T", "Invalid value"),
    "a text without an end": but('"T"', '"T‸', "Illegal character '\\n'"),
    "a text without an end at the end": Bad(
        'title = ‸"T', ("Unterminated string before the end of the file: what begins here is not closed",)
    ),
    "a literal text without an end": Bad("title = ‸'T", ('Expected "\'" before the end of the file',)),
    "a long text without an end": but(
        '"Q?"', '‸"""Q', "Unterminated string before the end of the file: what begins here is not closed"
    ),
    "a long literal text without an end": but(
        '"Q?"', "‸'''Q", "before the end of the file: what begins here is not closed"
    ),
    "a list without an end": Bad(
        'a = 1\nb = ‸[1, [2], "]"\n', ("Unclosed array before the end of the file: what begins here is not closed",)
    ),
    "a table without an end": Bad("a = ‸{ b = 1", ("Unclosed inline table before the end of the file",)),
    "a header without an end": Bad("[limits‸\nseconds = 1\n", ("Expected ']' at the end of a table declaration",)),
    "a key twice": but('question = "Q?"', 'title = "Q?"', "Cannot overwrite a value")._replace(
        text=GOOD.replace('question = "Q?"', 'title = "Q?"‸')
    ),
    "a table twice": Bad(GOOD + "[limits‸]\n", ("Cannot declare ('limits',) twice",)),
    "a table over a list": Bad(GOOD + "[backend‸]\n", ("Cannot declare ('backend',) twice",)),
    "a list over a table": Bad(GOOD + "[[limits‸]]\n", ("Cannot overwrite a value",)),
    "an escape that is none": but('"T"', '"\\q‸"', "Unescaped '\\' in a string"),
    "a surrogate": but('"T"', '"\\ud800‸"', "Escaped character is not a Unicode scalar value"),
    "a raw control character": but('"T"', '"‸\x01"', "Illegal character '\\x01'"),
    "a NUL": but('"T"', '"T" ‸\x00', "Expected newline or end of document after a statement"),
    "a lone carriage return": but('"T"\n', '"T"‸\rx = 1\n', "Expected newline or end of document after a statement"),
    "two statements on a line": but('"T"', '"T" ‸a = 1', "Expected newline or end of document"),
    "a number with a zero before it": but("samples = 9", "samples = 0‸9", "Expected newline or end of document"),
    "a date that is none": but("samples = 9", "samples = 1979‸-13-45", "Expected newline or end of document"),
    "a comma too many": but("threads = 1", "x = { a = 1, ‸}", "Invalid initial character for a key part"),
    "no comma": but('["tiny", "small"]', '["tiny" ‸"small"]', "Unclosed array"),
    "a key of many dots": but(
        'look_for = "L"', "a." * 100 + "a‸.a" + ".b" * 30000 + " = 1", "a key has more than 100 dots"
    ),
    "quoted keys of many dots": but('look_for = "L"', '"a".' * 100 + '"a"‸."b" = 1', "a key has more than 100 dots"),
    "brackets in brackets": but('"T"', "[" * 100 + "‸[" + "[" * 50000, "brackets are nested more than 100 deep"),
    "tables in tables": but('"T"', "{ a = " * 100 + "‸{ a = 1" + "}" * 101, "brackets are nested more than 100 deep"),
    "digits without end": but("samples = 9", "samples = ‸" + "9" * 5000, "an integer of more than 4300 digits"),
    "a tab before a fault": but(
        "samples = 9", "\t\tsamples\t=\t‸-9", "timing.samples: must be a whole number from 1 to 10000, got -9"
    ),
    "a smiley before a fault": but(
        "samples = 9", '"samples"= ‸-9 # \U0001f600', "timing.samples: must be a whole number"
    ),
    "wide characters before a fault": but('baseline = "reverse"', 'baseline = """\\\n  \U0001f600‸"""', "x")._replace(
        text=GOOD.replace('baseline = "reverse"', 'limits = { "\U0001f600" = ‸1 }').split("[limits]")[0],
        says=("limits.'\U0001f600': unknown key '\U0001f600'",),
    ),
}
