"""Words of the field are explained where they are used, and outcomes have a sign, a word and a meaning."""

from __future__ import annotations

import dataclasses
import re
from html import unescape

import made_up_runs as made
import pytest
from kind_runs import run_of
from matplotlib import font_manager, ft2font

from difflab.harness import limits
from difflab.harness.study_kinds import KINDS
from difflab.report import cases, render, terms, words
from difflab.report.terms import Term

FIELD = (  # what a reader from another field may not know, in the forms in which pages write it
    "work ratio", "certified", "correct digits", "interval", "verdict", "baseline", "null backend", "censored",
    "Pareto front", "exponent", "tape", "primal", "tangent", "cotangent", "peak", "forecast", "epoch", "sentinel",
    "ULP", "forward mode", "reverse mode", "gradient", "Jacobian", "Hessian", "kink", "equation", "primitive",
    "relative error", "finite differences", "complex step", "Richardson", "symbolic differentiation", "TF32",
    "checkpoint", "backpropagation", "ball arithmetic", "ties", "outliers", "dtype", "expression swell", "manifest",
    "difference quotient", "work ratios", "exponents", "Jacobians", "ULPs", "tapes", "quick run", "seed",
)  # fmt: skip


def apart(page: str) -> tuple[str, dict[str, str]]:
    """The text of a page without its words, and these with their meanings."""
    before, rest = page.split('<section id="words"')
    listed, after = rest.split("</section>", 1)
    found = re.findall(r"<dt[^>]*>(.*?)</dt>\s*<dd[^>]*>(.*?)</dd>", listed, re.DOTALL)
    return terms.text_of(before + after), {unescape(name): unescape(text) for name, text in found}


def uses(text: str, form: str) -> bool:
    flags = 0 if form.isupper() else re.IGNORECASE
    return re.search(rf"(?<![\w-]){re.escape(form)}(?![\w-])", text, flags) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_explains_the_words_that_it_uses_and_no_others(kind: str) -> None:
    text, explained = apart(render(run_of(kind)))
    known = words.explained(_own(kind), cases.read(run_of(kind).rows))
    for form in FIELD:
        if uses(text, form):
            assert any(uses(" ".join(term.forms), form) for term in known if term.name in explained), form
    for name in explained:
        forms = next(term.forms for term in known if term.name == name)
        assert any(uses(text, form) for form in forms), f"{name} is explained and nowhere used"


def _own(kind: str) -> list[Term]:
    """What the page of a kind may explain besides the words of every page."""
    from difflab.report import bar_tables, devices, kinds, nouns

    found = cases.read(run_of(kind).rows)
    own = kinds.sections(kind, found).glossary if kind in kinds.KINDS else bar_tables.GLOSSARY
    return [*own, *devices.GLOSSARY, *nouns.meanings()]


def test_a_word_is_explained_once_and_in_a_sentence_or_two() -> None:
    forms = [form.lower() for term in words.GLOSSARY for form in term.forms]
    assert len(forms) == len(set(forms)), "a form that stands for two terms"
    for term in words.GLOSSARY:
        assert term.meaning.endswith("."), term.name
        assert term.name[0].isupper() or term.name[0].isdigit(), term.name
        assert len(re.findall(r"[.;:?](?= |$)", term.meaning)) <= 6, f"{term.name}: too long to be read in passing"


def test_of_two_explanations_that_of_the_kind_goes_first() -> None:
    found = words.explained([Term("Peak", "Of this kind.")], [])
    assert [term.meaning for term in found if term.name == "Peak"] == ["Of this kind."]


def test_forms_are_whole_words_in_any_capitals_but_not_of_abbreviations() -> None:
    known = [Term("Tape", "", ("tapes",)), Term("ULP", "", ("ULPs",)), Term("95 % interval", "")]
    assert [term.name for term in terms.used(known, "TAPES and taper, ulp, digits-tape")] == ["Tape"]
    assert [term.name for term in terms.used(known, "some ULPs, a 95 % interval")] == ["ULP", "95 % interval"]
    found = terms.pattern(known).findall("A 95\N{NO-BREAK SPACE}% interval of tapes")
    assert [terms.owner(known, one).name for one in found] == ["95 % interval", "Tape"]  # type: ignore[union-attr]  # both are known
    assert terms.owner(known, "taper") is None


def test_what_is_not_read_uses_no_word() -> None:
    page = '<p title="tape">A</p><script>tape</script><pre>tape</pre><div id="w" popover>tape</div><p>&lt;b&gt;</p>'
    assert terms.text_of(page) == "A <b>"


# ---------------------------------------------------------------------------- outcomes


def test_every_outcome_of_the_harness_has_a_word_a_sign_and_a_meaning() -> None:
    assert set(cases.OUTCOMES) == set(limits.OUTCOMES)
    for part in ("word", "icon", "meaning"):
        texts = [getattr(outcome, part) for outcome in cases.OUTCOMES.values()]
        assert all(texts)
        assert len(set(texts)) == len(texts), f"two outcomes of one {part}"
    assert cases.OPEN not in {outcome.icon for outcome in cases.OUTCOMES.values()}


def test_signs_are_in_the_font_that_is_everywhere() -> None:
    letters = ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap()
    for sign in (*(outcome.icon for outcome in cases.OUTCOMES.values()), cases.OPEN):
        assert len(sign) == 1
        assert ord(sign) in letters, sign


@pytest.mark.parametrize("outcome", limits.OUTCOMES)
def test_the_sign_stands_beside_the_word_and_is_not_read_aloud(outcome: str) -> None:
    rows = [made.row("reverse"), made.failed("finite", outcome) | {"prepare_s": 1.0}]
    if outcome == "ok":
        rows = rows[:1]
    run = made.run(rows)
    case = cases.read(rows)[-1]
    text = render(run)
    table = text.split('<section id="rows"')[1].split("</section>")[0]
    assert f'<span class="icon" aria-hidden="true">{case.icon}</span>{case.outcome_words}' in table.replace("\n", "")
    _, explained = apart(text)
    assert f"{case.icon} {cases.OUTCOMES[outcome].word}: {cases.OUTCOMES[outcome].meaning}" in explained["Outcome"]


def test_what_was_never_begun_has_a_sign_of_its_own_and_an_unknown_outcome_none() -> None:
    begun, other = cases.read([made.failed("finite", "interrupted"), made.failed("finite", "melted")])
    assert (begun.icon, begun.outcome_words) == (cases.OPEN, cases.NOT_BEGUN)
    assert (other.icon, other.outcome_words) == ("", "melted")


def test_only_the_outcomes_of_the_page_are_explained() -> None:
    _, explained = apart(render(made.run([made.row("reverse"), made.failed("finite", "timeout")])))
    assert "timed out" in explained["Outcome"]
    assert "crashed" not in explained["Outcome"]
    assert "Outcome" not in apart(render(dataclasses.replace(made.full(), rows=[])))[1]
