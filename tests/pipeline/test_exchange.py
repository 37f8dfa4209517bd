import csv
import io
import os
from pathlib import Path
from random import Random
from unicodedata import normalize

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.exchange import read_triplets, write_triplets
from pipeline.files.cells import MISSING, formula_restored, formula_safe
from pipeline.files.rows import SeenDigests
from pipeline.records import InputError, StorageError, Triplet

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

sentences = st.text(
    alphabet=st.one_of(st.sampled_from("=+-@'\t\r\n\",;ab"), st.characters(codec="utf-8", exclude_categories=["Cc"])),
    min_size=1,
    max_size=30,
).filter(lambda text: any(c.isalnum() for c in text))
triplets = st.lists(
    st.builds(Triplet, sentences, sentences, sentences),
    min_size=1,
    max_size=8,
    unique_by=lambda t: normalize("NFC", "\0".join((t.premise, t.positive, t.hard_negative))),
)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_round_trip_gives_every_text_back(suffix, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exchange")

    @settings(max_examples=120, deadline=None)
    @given(triplets)
    @example([Triplet("nan", "'None", "''NULL"), Triplet("N/A", "NA", "<NA>")])
    @example([Triplet("=1+1", "'=1+1", "''@a"), Triplet("a\r\nb", '"quoted", "twice"', "\ta\rb")])
    def round_trip(rows):
        path = folder / f"triplets{suffix}"
        assert write_triplets(path, rows) == len(rows)
        file = read_triplets(path)
        assert file.rejected == [] and file.duplicates == 0
        assert file.triplets == rows

    round_trip()
    assert [path.name for path in folder.iterdir()] == [f"triplets{suffix}"]


@settings(max_examples=300)
@given(st.text(alphabet=st.one_of(st.sampled_from("'=+-@\t\r"), st.characters()), max_size=12))
def test_cells_are_never_formulas_and_always_come_back(text):
    cell = formula_safe(text)
    assert not cell.startswith(FORMULA_STARTS)
    assert formula_restored(cell) == text
    assert cell.removeprefix("'") == text or cell == text
    assert cell not in MISSING


def test_csv_is_what_other_tools_expect(tmp_path):
    path = tmp_path / "t.csv"
    write_triplets(path, [Triplet("A dog barks.", '-5 degrees, "cold"', "=HYPERLINK(1)")])
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    assert rows == [
        ["sent0", "sent1", "hard_neg"],
        ["A dog barks.", '\'-5 degrees, "cold"', "'=HYPERLINK(1)"],
    ]
    (tmp_path / "others.csv").write_text("premise,positive,hard_negative\n'-ing,b,c\n", encoding="utf-8")
    assert read_triplets(tmp_path / "others.csv").triplets == [Triplet("'-ing", "b", "c")]
    (tmp_path / "t.tsv").write_text("sent0\tsent1\thard_neg\n'-ing\tb\tc\n", encoding="utf-8")
    assert read_triplets(tmp_path / "t.tsv").triplets == [Triplet("'-ing", "b", "c")]


def test_rows_that_cannot_be_used_are_counted_with_side_and_reason():
    content = (
        b"hard_neg,sent0,extra,sent1\n"
        b"no,yes,,also\n"
        b"no,yes,other,also\n"  # the same triplet
        b",yes,,also\n"
        b"no,yes,also\n"
        b"no,ye\x00s,,also\n"
        b"no,yes,,\xff\n"
        b'no,"yes,,also\n'
        b"last,one,,counts\n"
    )
    file = read_triplets(content, name="t.csv")
    assert file.triplets == [Triplet("yes", "also", "no"), Triplet("one", "counts", "last")]
    assert [(row.line, row.reason) for row in file.rejected] == [
        (4, "hard_negative: empty"),
        (5, "wrong number of columns"),
        (6, "premise: control characters"),
        (7, "not UTF-8"),
        (8, "malformed csv"),
    ]
    assert file.duplicates == 1 and file.lines == 8
    assert file.reasons()["malformed csv"] == 1


def test_generated_jsonl_with_other_fields_is_read():
    content = (
        b'{"premise": "a", "positive": "b", "hard_negative": "c", "seed": 0}\n{"premise": "a", "positive": ""}\n'
    )
    file = read_triplets(content, name="t.jsonl")
    assert file.triplets == [Triplet("a", "b", "c")]
    assert [row.reason for row in file.rejected] == ["missing field"]


def test_whole_file_errors():
    with pytest.raises(InputError, match=r"holds no triplets \(columns: sent0, sent1\)"):
        read_triplets(b"sent0,sent1\na,b\n", name="t.csv")
    with pytest.raises(InputError, match="names no export format"):
        write_triplets(Path("t.ods"), [])


def test_a_failed_export_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old", encoding="utf-8")

    def breaks():
        yield Triplet("a", "b", "c")
        raise RuntimeError("the source of the rows went away")

    with pytest.raises(RuntimeError):
        write_triplets(path, breaks())
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["t.csv"]  # noqa: PTH208
    with pytest.raises(StorageError, match="cannot be written"):
        write_triplets(tmp_path / "no folder" / "t.csv", [])


def test_rows_that_generation_marked_as_failed_are_left_out_with_their_outcome(tmp_path):
    # Of 300 rows of `generate --out` 244 were ok on both sides, and training took all 300.
    sides = [("ok", "ok"), ("ok", "copy"), ("truncated", "ok"), ("ok", "ok"), ("refused", "empty")]
    rows = [
        {"premise": f"p{n}", "positive": f"q{n}", "hard_negative": f"r{n}",
         "outcome": {"positive": a, "hard_negative": b}} for n, (a, b) in enumerate(sides)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    flat = frame.drop(columns="outcome").assign(
        positive_outcome=[a for a, _ in sides], hard_negative_outcome=[b for _, b in sides]
    )
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "b.parquet")
    frame.to_csv(tmp_path / "c.csv", index=False)
    flat.to_parquet(tmp_path / "d.parquet")
    flat.to_csv(tmp_path / "e.csv", index=False)
    for path in sorted(tmp_path.iterdir()):
        read = read_triplets(path)
        assert [t.premise for t in read.triplets] == ["p0", "p3"], path.name
        assert read.reasons() == {"hard negative: copy": 1, "positive: truncated": 1, "positive: refused": 1}
        assert len(read.triplets) + read.duplicates + len(read.rejected) == read.lines == 5


def test_an_outcome_of_another_kind_is_no_reason(tmp_path):
    content = b"sent0,sent1,hard_neg,outcome\na,b,c,won\nd,e,f,\n"
    assert len(read_triplets(content, name="t.csv").triplets) == 2


def test_digests_are_new_once_however_many_there_are():
    """Against a set, over blocks that repeat digests of any earlier block and their own."""
    random, seen, told = Random(3), set[bytes](), SeenDigests()
    for size in (1, 500, 3, 2_000, 2_000, 1, 40, 700):
        block = [random.randrange(3_000).to_bytes(16, "little") for _ in range(size)]
        wanted = []
        for digest in block:
            wanted.append(digest not in seen)
            seen.add(digest)
        assert told.add(block).tolist() == wanted
