import html.parser
import json
import re
from pathlib import Path

import pytest

from apps.claims import judge_all
from apps.report.page import DrawnFigure, write_page
from apps.report.theorems import read_theorems
from apps.training.runs import read_runs
from tests.apps.run_directories import write_run

PNG = bytes.fromhex("89504e470d0a1a0a")


class _Reader(html.parser.HTMLParser):
    """Collects the sources a page loads, its text, and the tags left open."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "src" in attributes or tag == "link":
            self.sources.append(attributes.get("src"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "runs"
    for norm in ("none", "bn"):
        write_run(folder, norm=norm)

    def write(**more):
        (tmp_path / "a.png").write_bytes(PNG)
        runs = read_runs(folder)
        arguments = {
            "title": "A title",
            "command": "python -m apps.reproduce",
            "runs": runs,
            "judgements": judge_all(runs),
            "figures": [
                DrawnFigure("Figure 1", "curves", "All <of> it.", tmp_path / "a.png"),
                DrawnFigure("Figure 2", "noise", "", None, "figure 2 lacks runs"),
            ],
            **more,
        }
        write_page(tmp_path / "report.html", **arguments)
        return _Reader((tmp_path / "report.html").read_text())

    return write


def test_the_page_is_complete_and_self_contained(page):
    read = page()
    assert read.open == []
    assert read.sources == ["data:image/png;base64,iVBORw0KGgo="]


def test_it_shows_verdicts_and_the_runs_behind_them(page):
    text = page().text
    for words in (
        "BN smooths the VGG: gradient band",
        "✗ not borne out",
        "pictures of nothing",
        "a CPU",
        "python -m apps.train_vgg --norm=bn --seed=0",
        "0123456789",
        "test accuracy 0.500",
        "All <of> it.",
        "figure 2 lacks runs",
    ):
        assert words in text


def test_what_was_left_out_is_named(page, tmp_path):
    (tmp_path / "runs" / "empty").mkdir()
    assert "empty: there is no config.json" in page().text


def test_theorems_are_tabulated(page, tmp_path):
    assert read_theorems(tmp_path) is None
    saved = Path(__file__).parents[3] / "saved_results" / "theory" / "theorems.json"
    found = json.loads(saved.read_text())
    found["results"] = found["results"][:1]
    found["results"][0] |= {
        "statement": "Theorem 4.1",
        "form": "as printed",
        "satisfying": 1000,
        "failures": 0,
        "verdict": "holds",
    }
    (tmp_path / "theorems.json").write_text(json.dumps(found))
    text = page(theorems=read_theorems(tmp_path)).text
    assert "Theorem 4.1 as printed 1,000 0 holds" in text
    (tmp_path / "theorems.json").write_text("{")
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_theorems(tmp_path)
