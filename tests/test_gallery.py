"""The index of a folder of pages: what it says is what the pages say, and the committed one is up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import made_up_runs as made
import pytest

from difflab.errors import InputError
from difflab.harness.study import shipped
from difflab.pages import policy
from difflab.report import answer, gallery, write

GALLERY = Path(__file__).parents[1] / "reports" / "gallery"
NEVER_MEASURED = {"gpu", "gpu-tf32", "gpu-jacobian"}  # no GPU could be had; README says so
HOSTILE = '</script><script>document.title = "taken"</script>"><img src=x onerror="document.title=\'taken\'">'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(made.full(), tmp_path / "first")
    write(made.run([made.row("reverse")], title=HOSTILE, question=HOSTILE), tmp_path / HOSTILE.replace("/", "_"))
    return tmp_path


def test_an_entry_says_what_the_page_says(folder: Path) -> None:
    run = made.full()
    (one,) = [entry for entry in gallery.entries(folder) if entry.name == "first"]
    assert one.title == run.manifest["study"]["title"]
    assert one.question == run.manifest["study"]["question"]
    assert " ".join(one.answer) == answer(run).text
    assert f"{len(run.rows)} cases" in one.summary
    assert one.day == "2026-01-02"
    assert one.size == (folder / "first" / "index.html").stat().st_size


def test_the_index_links_to_every_page_and_escapes_everything(folder: Path) -> None:
    text = gallery.write(folder).read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<script" not in text
    for link in re.findall(r'href="([^#"]+/index\.html)"', text):
        assert (folder / unquote(link)).is_file(), link
    sheet = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert sheet is not None
    assert policy(sheet[1], "") in text.replace("&#39;", "'")
    assert gallery.write(folder).read_text(encoding="utf-8") == text, "the index itself is no page"


def test_what_is_no_gallery_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^there is no folder .*nowhere; name one whose folders hold pages"):
        gallery.entries(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds a page \(index\.html\); `difflab report RUN` writes one"):
        gallery.entries(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "index.html").write_text("<html></html>", encoding="utf-8")
    with pytest.raises(InputError, match=r"old.index\.html does not say what it is about; make it again"):
        gallery.entries(tmp_path)
    found = subprocess.run(
        [sys.executable, "-m", "difflab.report.gallery", str(tmp_path / "nowhere")], capture_output=True, text=True
    )
    assert (found.returncode, found.stderr.count("\n")) == (1, 1)
    assert found.stderr.startswith("difflab: there is no folder")


def test_the_committed_index_is_that_of_the_committed_pages() -> None:
    assert (GALLERY / "index.html").read_text(encoding="utf-8") == gallery.render(GALLERY)


def test_every_shipped_study_has_a_page_or_was_never_measured() -> None:
    names = {entry.name for entry in gallery.entries(GALLERY)}
    assert names | NEVER_MEASURED == set(shipped())
    assert not names & NEVER_MEASURED
    assert not [entry.name for entry in gallery.entries(GALLERY) if entry.quick]


def test_committed_pages_keep_to_the_size_of_a_page() -> None:
    assert max(entry.size for entry in gallery.entries(GALLERY)) <= 1_500_000
