"""Files as other tools write them, and back: every container and form, with texts that are hard to carry."""

import gzip
import json
import zipfile
from pathlib import Path
from random import Random

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.exchange import FORMS, read_triplets, write_triplets
from pipeline.files import spreadsheet
from pipeline.records import InputError, Triplet

NASTY = [
    Triplet('She said "no, never" to him.', "Line one.\nLine two.", "A\ttab and\r\na CRLF; a comma, too."),
    Triplet('=HYPERLINK("http://127.0.0.1","x") is a text.', "+1 for this one.", "@SUM(A1:A9) -2"),
    Triplet("שלום עולם, מה שלומך?", "‏مرحبا بالعالم‎ in one line.", "the \u202eabc\u202c is turned"),
    Triplet("猫が窓の外を見ている。", "고양이가 창밖을 본다.", "猫不看窗外。"),
    Triplet("A family 👩‍👩‍👧‍👦 and a flag 🏳️‍🌈.", "e\u0301 is é, Å is Å.", "_x000D_ and _x0041_ are letters here."),
    Triplet("nan", "NULL", "'=1+1 with a mark"),
    Triplet(" blanks around ", "<b>bold</b> &amp; more", "a | b `c` $d$ :red[e]"),
    Triplet("x" * 10_000, "y " * 4_000 + "end", "1.000,5"),
]
CONTAINERS = [".jsonl", ".json", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst", ".parquet", ".xlsx"]
CASES = [
    *((ending, form) for form in FORMS for ending in (".jsonl", ".json", ".json.zst")),
    *((ending, form) for form in ("", "simcse", "sentence-transformers") for ending in CONTAINERS),
    *((ending, form) for form in ("", "simcse") for ending in (".csv", ".csv.gz", ".csv.zst")),
]


@pytest.mark.parametrize(("ending", "form"), sorted(set(CASES)))
def test_every_container_and_form_gives_every_text_back(ending, form, tmp_path):
    path = tmp_path / f"t{ending}"
    assert write_triplets(path, NASTY, form=form) == len(NASTY)
    read = read_triplets(path)
    assert read.rejected == [] and read.triplets == NASTY
    again = tmp_path / f"again{ending}"
    write_triplets(again, NASTY, form=form)
    if ending != ".xlsx":  # a spreadsheet has the time in it
        assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "form", "why"),
    [
        ("t.csv", "sentence-transformers", "SimCSE's columns"),
        ("t.parquet", "argilla", "is JSON"),
        ("t.xlsx", "flagembedding", "is JSON"),
        ("t.jsonl", "mine", "choose one of simcse"),
        ("t.parquet.gz", "", "names no export format"),
        ("t.ods", "", "names no export format"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_file_is_there(name, form, why, tmp_path):
    with pytest.raises(InputError, match=why):
        write_triplets(tmp_path / name, NASTY, form=form)
    assert list(tmp_path.iterdir()) == []


def test_a_spreadsheet_holds_texts_and_no_formula(tmp_path):
    write_triplets(tmp_path / "t.xlsx", NASTY)
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").worksheets[0]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} == {"s"}
    with pytest.raises(InputError, match="does not fit a cell"):
        write_triplets(tmp_path / "long.xlsx", [Triplet("a", "b", "c " * 20_000)])
    assert not (tmp_path / "long.xlsx").exists()


def rows(count: int = 3) -> list[dict]:
    return [{"anchor": f"a{n}", "positive": f"p{n}", "negative": f"n{n}"} for n in range(count)]


WANTED = [Triplet(f"a{n}", f"p{n}", f"n{n}") for n in range(3)]


def as_mined(path: Path) -> None:
    """sentence-transformers' mine_hard_negatives with output_format n-tuple."""
    pd.DataFrame([row | {"negative": None} for row in rows()]).assign(
        negative_2=[f"m{n}" for n in range(3)], negative_1=[f"n{n}" for n in range(3)]
    ).drop(columns="negative").to_parquet(path)


def as_flag(path: Path) -> None:
    """FlagEmbedding's fine-tuning data, with the scores and the prompt that its tools add."""
    records = [
        {"query": r["anchor"], "pos": [r["positive"]], "neg": [r["negative"], f"m{n}"], "pos_scores": [0.9],
         "neg_scores": [0.1, 0.2], "prompt": "Represent this", "type": "normal"} for n, r in enumerate(rows())
    ]  # fmt: skip
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def as_simcse(path: Path) -> None:
    """nli_for_simcse.csv."""
    path.write_text("sent0,sent1,hard_neg\n" + "".join(",".join(row.values()) + "\n" for row in rows()))


def as_sheet(path: Path) -> None:
    """A table kept by hand: an empty row, a number, a formula, notes beside it."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Anchor", "Positive", "Hard negative", None, "notes"])
    for row in rows():
        sheet.append([*row.values(), None, "=1+1"])
    sheet.append([])
    sheet.append(["a", "=CONCAT(A2)", "c"])
    sheet.append(["a", 7, "c"])
    book.save(path)


TWICE = [t for n, one in enumerate(WANTED) for t in (one, Triplet(one.premise, one.positive, f"m{n}"))]
"""Two hard negatives of each row."""


def as_quoted_simcse(path: Path) -> None:
    """The same with Windows' line ends, quoted cells and a row that holds commas and quotation marks."""
    quoted = ",".join(
        '"' + text.replace('"', '""') + '"' for text in ('He said "so".', "He, in short, spoke.", "No.")
    )
    lines = ["sent0,sent1,hard_neg", *(",".join(f'"{text}"' for text in row.values()) for row in rows()), quoted]
    path.write_bytes("\r\n".join(lines).encode())


def as_frame(path: Path) -> None:
    """pandas' to_csv with its index, SimCSE's names in another order, a column beside them."""
    frame = pd.DataFrame(rows()).rename(columns={"anchor": "sent0", "positive": "sent1", "negative": "hard_neg"})
    frame.assign(source="snli")[["hard_neg", "source", "sent0", "sent1"]].to_csv(path)


def as_all_nli(path: Path) -> None:
    """The triplets of a data set of sentence-transformers, with the types that pandas would not choose."""
    text = pa.dictionary(pa.int32(), pa.large_string())
    table = pa.table({name: [row[name] for row in rows()] for name in rows()[0]})
    table = table.cast(pa.schema([(name, text if name == "anchor" else pa.large_string()) for name in rows()[0]]))
    pq.write_table(table, path, row_group_size=2, compression="zstd")


def as_retrieval(path: Path) -> None:
    """mine_hard_negatives with output_format triplet on questions, as JSON lines with the scores beside them."""
    records = [
        {"question": r["anchor"], "positive": r["positive"], "negative": r["negative"], "score": [0.9, 0.1]}
        for r in rows()
    ]
    path.write_text("\n".join(map(json.dumps, records)) + "\n\n")


def as_bge_m3(path: Path) -> None:
    """FlagEmbedding's data of several tasks: lists of different lengths, ids, a query without hard negatives."""
    records = [
        {
            "id": f"q{n}",
            "query": r["anchor"],
            "pos": [r["positive"]] * 2,
            "neg": [r["negative"], f"m{n}"],
            "pos_id": ["1", "2"],
        }
        for n, r in enumerate(rows())
    ]
    lines = [*map(json.dumps, records), json.dumps({"query": "a", "pos": ["b"], "neg": []})]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


def as_one_text(path: Path) -> None:
    """FlagEmbedding's shape with texts in place of lists, as a file of one array."""
    path.write_text(
        json.dumps(
            [{"query": r["anchor"], "pos": r["positive"], "neg": [r["negative"]], "task": "nli"} for r in rows()]
        )
    )


def as_pandas_sheet(path: Path) -> None:
    """pandas' to_excel with its index."""
    pd.DataFrame(rows()).to_excel(path)


def as_second_sheet(path: Path) -> None:
    """An empty sheet in front, texts with blanks, two hard negatives of a row."""
    book = openpyxl.Workbook()
    sheet = book.create_sheet("data")
    sheet.append(["sent0", "sent1", "hard_neg_1", "hard_neg_2"])
    for number, row in enumerate(rows()):
        sheet.append([*row.values(), f"m{number}"])
    book.save(path)


@pytest.mark.parametrize(
    ("name", "write", "wanted", "rejected"),
    [
        ("nli.csv", as_simcse, WANTED, []),
        ("quoted.csv", as_quoted_simcse, [*WANTED, Triplet('He said "so".', "He, in short, spoke.", "No.")], []),
        ("frame.csv", as_frame, WANTED, []),
        ("train-00000-of-00001.parquet", as_all_nli, WANTED, []),
        ("questions.jsonl", as_retrieval, WANTED, [(4, "empty")]),
        ("m3.jsonl.gz", as_bge_m3, TWICE, [(4, "missing field")]),
        ("one.json", as_one_text, WANTED, []),
        ("frame.xlsx", as_pandas_sheet, WANTED, []),
        ("second.xlsx", as_second_sheet, TWICE, []),
        ("mined.parquet", as_mined, TWICE, []),
        ("toy.jsonl", as_flag, TWICE, []),
        ("kept.xlsx", as_sheet, WANTED, [(6, "missing field"), (7, "not text")]),
        ("list.json", lambda path: path.write_text(json.dumps(rows(), indent=2)), WANTED, []),
        ("object.json", lambda path: path.write_text(json.dumps({"data": rows()}, indent=1)), WANTED, []),
        ("lines.json", lambda path: path.write_text("\n".join(map(json.dumps, rows()))), WANTED, []),
        ("a.csv.gz", lambda path: path.write_bytes(gzip.compress(pd.DataFrame(rows()).to_csv(index=False).encode())), WANTED, []),  # noqa: E501
        ("a.jsonl.zst", lambda path: path.write_bytes(pa.compress(pd.DataFrame(rows()).to_json(orient="records", lines=True).encode(), codec="zstd", asbytes=True)), WANTED, []),  # noqa: E501
        ("argilla.json", lambda path: path.write_text(json.dumps([{"id": str(n), "fields": row, "status": "pending"} for n, row in enumerate(rows())])), WANTED, []),  # noqa: E501
    ],
)  # fmt: skip
def test_files_of_other_tools_are_read(name, write, wanted, rejected, tmp_path):
    write(tmp_path / name)
    read = read_triplets(tmp_path / name)
    assert read.triplets == wanted
    assert [(row.line, row.reason) for row in read.rejected] == rejected


def test_columns_of_unknown_names_are_named_in_their_order():
    table = b"id,said,meant,denied,also denied\n1,a,b,c,d\n"
    with pytest.raises(InputError, match="--columns PREMISE,POSITIVE,HARD_NEGATIVE"):
        read_triplets(table, name="t.csv")
    assert read_triplets(table, name="t.csv", columns=["said", "meant", "denied"]).triplets == [
        Triplet("a", "b", "c")
    ]
    both = read_triplets(table, name="t.csv", columns=["said", "meant", "denied", "also denied"])
    assert both.triplets == [Triplet("a", "b", "c"), Triplet("a", "b", "d")] and both.lines == 2
    with pytest.raises(InputError, match="no column hidden"):
        read_triplets(table, name="t.csv", columns=["said", "meant", "hidden"])
    with pytest.raises(InputError, match="three sides"):
        read_triplets(table, name="t.csv", columns=["said", "meant"])


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet", ".csv"])
def test_a_field_of_a_megabyte_and_a_nul_are_each_one_rejected_row(ending, tmp_path):
    frame = pd.DataFrame([*rows(), {"anchor": "z" * 1_000_000, "positive": "p", "negative": "n"}])
    frame.loc[len(frame)] = ["a\x00b", "p", "n"]
    path = tmp_path / f"t{ending}"
    if ending == ".parquet":
        frame.to_parquet(path)
    elif ending == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=ending == ".jsonl")
    read = read_triplets(path)
    assert read.triplets == WANTED
    assert [row.reason for row in read.rejected] == [
        "line too long" if ending in (".jsonl", ".csv") else "cell too long",
        "premise: control characters",
    ]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", "empty zip", "a bomb"])
def test_what_is_no_spreadsheet_is_one_sentence(content, tmp_path, monkeypatch):
    path = tmp_path / "t.xlsx"
    path.write_bytes(content if isinstance(content, bytes) else b"")
    if content == "empty zip":
        with zipfile.ZipFile(path, "w") as parts:
            parts.writestr("x.xml", "<x/>")
    if content == "a bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
            for number in range(3):
                parts.writestr(f"xl/{number}.xml", b"\0" * 10_000_000)
        monkeypatch.setattr(spreadsheet, "_MAX_UNPACKED_BYTES", 20_000_000)
    with pytest.raises(InputError, match="save its table as csv"):
        read_triplets(path)


def test_an_xlsx_of_which_any_byte_is_damaged_is_read_or_refused_in_a_sentence(tmp_path):
    path, random, refused = tmp_path / "t.xlsx", Random(1), set()
    write_triplets(path, [Triplet("A dog runs.", "A dog.", "A cat.")] * 20)
    whole = path.read_bytes()
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(8):
            data[random.randrange(len(data))] = random.randrange(256)
        path.write_bytes(data)
        try:
            read_triplets(path)
        except InputError as error:
            refused.add(type(error.__cause__ or error.__context__).__name__)
    assert "error" in refused  # zlib's, of which the name is no more than that
