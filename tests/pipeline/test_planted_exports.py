"""Texts full of formulas and markup in every format that is written: they come back, and nothing parses them."""

import csv
import gzip
import io
import json
from html.parser import HTMLParser

import openpyxl
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from pipeline.dataset_folder import DatasetCard
from pipeline.evaluation.leaderboard import as_csv, as_latex, as_markdown, measured
from pipeline.exchange import FORMS, read_triplets, write_triplets
from pipeline.records import InputError, Triplet
from pipeline.train_config import TrainConfig
from pipeline.training.model_card import CardFacts, add_scores, model_card

MARKUP = (
    *('<img src=x onerror="zq()">', "<b>zq</b>", "[zq](http://127.0.0.1/zq)", "![zq](x)", "*zq*", "_zq_", "~~zq~~"),
    *("`zq`", "$zq$", "a | zq", "# zq", "&lt;zq", "\\input{zq}", "%zq", "#1 & zq", ":smile: zq", "</td><script>zq()"),
)
FORMULAS = (
    '=HYPERLINK("http://x")',
    "+1",
    "-1+zq",
    "@SUM(A1)",
    "\t=zq",
    "\r=zq",
    "'=zq",
    "=cmd|' /C calc'!A0",
    "nan",
)
TEXTS = (*FORMULAS, *MARKUP, *(f"={text}" for text in MARKUP))
ROWS = [Triplet(text, f"{text} one", f"{text} two") for text in TEXTS]
FILES = [
    (f"t{ending}", form)
    for ending in (".csv", ".csv.gz", ".jsonl", ".jsonl.zst", ".json", ".json.gz", ".parquet", ".xlsx")
    for form in FORMS
]


@pytest.mark.parametrize(("name", "form"), FILES)
def test_triplets_come_back_and_no_spreadsheet_sees_a_formula(tmp_path, name, form):
    path = tmp_path / name
    try:
        assert write_triplets(path, ROWS, form=form) == len(ROWS)
    except InputError:
        assert form in ("flagembedding", "argilla") or ".csv" in name, "every other pair can be written"
        return
    if ".csv" in name:
        data = path.read_bytes()
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
        cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    elif name.endswith(".xlsx"):
        sheet = openpyxl.load_workbook(path).active
        assert {cell.data_type for row in sheet.iter_rows() for cell in row} == {"s"}
    elif name.endswith(".parquet"):
        assert pd.read_parquet(path).iloc[:, 0].tolist() == list(TEXTS)
    elif form == "argilla":
        if name == "t.jsonl":
            assert [json.loads(line)["fields"]["premise"] for line in path.open()] == list(TEXTS)
        return
    assert read_triplets(path).triplets == ROWS


class Tags(HTMLParser):
    """What a page is made of, beside its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)


def tags(markdown: str) -> set[str]:
    """The elements that a reader of GitHub's Markdown makes, where it lets HTML through."""
    reader = Tags()
    reader.feed(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown))
    return reader.found


PLAIN_TAGS = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre"}


@pytest.mark.parametrize("text", TEXTS)
def test_no_markdown_latex_or_csv_made_here_parses_a_name(tmp_path, text):
    rows = [measured(text, {"STS12": 0.5, text: 0.25})]
    board = as_markdown(rows)
    assert tags(board) <= PLAIN_TAGS | {"strong"} and not {"`zq`", "$zq$"} & set(board.split())
    card = DatasetCard(text, {"Written by": [(text, text)]}).text(3).split("\n---\n", 1)[1]
    assert tags(card) <= PLAIN_TAGS and len(MarkdownIt().parse(card)) > 5
    facts = CardFacts(TrainConfig(encoder=text.strip()), 3, "", "0123", 2, 0.5, 0.8)
    (tmp_path / "README.md").write_text(model_card(facts), encoding="utf-8")
    add_scores(tmp_path, {text: (0.5, 10)})
    model = (tmp_path / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]
    assert tags(model) <= PLAIN_TAGS
    latex = as_latex(rows)
    assert "\\input{" not in latex and "$zq$" not in latex
    assert all(line.rstrip().endswith("\\\\") for line in latex.splitlines() if " & " in line)
    cells = [cell for row in csv.reader(io.StringIO(as_csv(rows))) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
