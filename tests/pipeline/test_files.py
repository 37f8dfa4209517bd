"""Files as people have them: separators, names, arrays, archives, encodings, and numbers as they are written."""

import bz2
import gzip
import io
import json
import lzma
import os
from pathlib import Path
from unicodedata import normalize

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curation.hygiene import normalised
from pipeline.exchange import TripletReading, read_triplets, write_triplets
from pipeline.files.cells import AMBIGUOUS, NOT_A_NUMBER, read_numbers
from pipeline.files.rows import column_names
from pipeline.files.source import encoding_offer, make_source
from pipeline.generation.outcomes import is_copy
from pipeline.premises import columns, read_premises
from pipeline.records import InputError, Premise, Triplet


def texts(content, name, **options):
    return [premise.text for premise in read_premises(content, name=name, **options).premises]


@pytest.mark.parametrize(
    ("content", "name", "named"),
    [
        (b"premise\tid\nA dog runs.\t1\nTwo cats, one bed.\t2\n", "x.csv", ["premise", "id"]),
        (b"premise|id\nA dog runs.|1\nTwo cats, one bed.|2\n", "x.csv", ["premise", "id"]),
        (b"premise;id\nA dog runs.;1\nTwo cats, one bed.;2\n", "x.csv", ["premise", "id"]),
        (b"sep=;\r\npremise;id\r\nA dog runs.;1\r\nTwo cats, one bed.;2\r\n", "x.csv", ["premise", "id"]),
        (b'"sep=^"\npremise^id\nA dog runs.^1\nTwo cats, one bed.^2\n', "x.csv", ["premise", "id"]),
        (
            b'premise;"note, free"\nA dog runs.;"a, b"\n"Two cats, one bed.";"c, d"\n',
            "x.csv",
            ["premise", "note, free"],
        ),
        (b'premise,"a;b;c"\nA dog runs.,1\n"Two cats, one bed.",2\n', "x.csv", ["premise", "a;b;c"]),
        (b'id,premise\n1,A dog runs.\n2,"Two cats, one bed."\n', "x.tsv", ["id", "premise"]),
        (b"id\tpremise\n1\tA dog runs.\n2\tTwo cats, one bed.\n", "x.tsv", ["id", "premise"]),
    ],
)
def test_the_separator_is_found_and_no_row_becomes_a_premise_whole(content, name, named):
    assert columns(content, name=name) == named
    assert texts(content, name, column="premise") == ["A dog runs.", "Two cats, one bed."]


def test_a_table_of_one_column_keeps_its_commas_where_they_are_quoted():
    assert texts(b'premise\n"A dog, old; tired, runs."\nIt rains.\n', "x.csv") == [
        "A dog, old; tired, runs.",
        "It rains.",
    ]


ONE = [Triplet("A dog runs.", "A dog is running.", "A dog sleeps.")]


@pytest.mark.parametrize(
    "names",
    [
        ("anchor", "positive", "negative"),
        ("Sent0", "Sent1", "Hard_Neg"),
        ("Premise", "Positive", "Hard negative"),
        ("query", "pos", "neg"),
        ("QUERY", "Positive", "hard-negative"),
    ],
)
def test_triplets_are_read_under_the_names_people_have(names):
    row = dict(zip(names, ("A dog runs.", "A dog is running.", "A dog sleeps."), strict=True))
    assert read_triplets(json.dumps({"id": "7", **row}).encode(), name="t.jsonl").triplets == ONE
    csv = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
    assert read_triplets(csv.encode(), name="t.csv").triplets == ONE


LISTS = {"query": "q", "pos": ["p1", "p2"], "neg": ["n1", "n2", "n3"]}
EXPANDED = [Triplet("q", "p1", "n1"), Triplet("q", "p2", "n2"), Triplet("q", "p1", "n3")]


def parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (json.dumps(LISTS).encode(), "t.jsonl"),
        (json.dumps([LISTS], indent=2).encode(), "t.json"),
        (parquet([LISTS]), "t.parquet"),
    ],
)
def test_lists_of_positives_and_negatives_become_triplets_that_use_every_text(content, name):
    file = read_triplets(content, name=name)
    assert file.triplets == EXPANDED
    assert (file.lines, file.duplicates, file.rejected) == (3, 0, [])


def test_an_empty_list_of_negatives_is_a_row_without_one():
    rows = [LISTS, {"query": "q", "pos": ["p"], "neg": []}, {"query": "q", "pos": ["p", None], "neg": ["n"]}]
    file = read_triplets("\n".join(map(json.dumps, rows)).encode(), name="t.jsonl")
    assert [(row.line, row.reason) for row in file.rejected] == [(2, "missing field"), (3, "missing field")]
    assert len(file.triplets) + len(file.rejected) == file.lines


def test_pairs_without_a_hard_negative_say_what_to_do():
    with pytest.raises(InputError, match=r"without a hard negative\. Import its column anchor"):
        read_triplets(b"anchor,positive\na,b\n", name="t.csv")


ROWS = [{"text": "A dog runs.", "n": 1}, {"text": "It rains.", "n": 2}]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (json.dumps(ROWS), "x.json"),
        (json.dumps(ROWS), "x.jsonl"),
        (json.dumps(ROWS, indent=1), "x.jsonl"),
        (json.dumps({"version": 1, "data": ROWS}, indent=1), "x.json"),
        ("\n".join(map(json.dumps, ROWS)), "x.json"),
    ],
)
def test_an_array_of_objects_is_read_like_lines(content, name):
    assert texts(content.encode(), name) == ["A dog runs.", "It rains."]
    assert columns(content.encode(), name=name) == ["text", "n"]


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("ending", list(PACKERS))
def test_packed_files_are_unpacked_as_they_are_read(ending, tmp_path):
    plain = b"\xef\xbb\xbfid,text\n" + b"".join(b"%d,sentence number %d\n" % (n, n) for n in range(20_000))
    packed = PACKERS[ending](plain)
    wanted = texts(plain, "x.csv", column="text")
    assert len(wanted) == 20_000
    assert texts(packed, f"x.csv{ending}", column="text") == wanted
    (tmp_path / f"x.csv{ending}").write_bytes(packed)
    assert texts(tmp_path / f"x.csv{ending}", "", column="text") == wanted
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_premises(packed[: len(packed) // 2], name=f"x.csv{ending}", column="text")
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_premises(plain, name=f"x.csv{ending}", column="text")


@pytest.mark.parametrize(
    ("name", "says"), [("x.ods", "spreadsheet; save its table as xlsx or csv"), ("x.parquet.gz", "unpack it")]
)
def test_what_is_not_read_says_what_to_do(name, says):
    with pytest.raises(InputError, match=says):
        read_premises(b"PK\x03\x04", name=name)


def test_our_own_csv_gives_its_texts_back_as_premises_too(tmp_path):
    rows = [Triplet("-5 degrees outside.", "It is cold.", "nan"), Triplet("None of it.", "=1", "'@home")]
    write_triplets(tmp_path / "own.csv", rows)
    assert texts(tmp_path / "own.csv", "") == ["-5 degrees outside.", "None of it."]
    assert read_triplets(tmp_path / "own.csv").triplets == rows
    assert texts(b"text,n\n'-5 degrees.,1\n", "others.csv") == ["'-5 degrees."]


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "null", "NULL", "NA", "N/A", "#N/A", "<NA>"])
def test_a_spelt_missing_value_is_missing_without_types_and_text_with_them(word):
    csv = f"sent0,sent1,hard_neg\na,b,{word}\na,b,{word} of it\n"
    file = read_triplets(csv.encode(), name="t.csv")
    assert file.triplets == [Triplet("a", "b", f"{word} of it")]
    assert [(row.line, row.reason) for row in file.rejected] == [(2, "missing field")]
    row = {"premise": "a", "positive": "b", "hard_negative": word}
    assert read_triplets(json.dumps(row).encode(), name="t.jsonl").triplets == [Triplet("a", "b", word)]
    assert read_triplets(parquet([row]), name="t.parquet").triplets == [Triplet("a", "b", word)]


WESTERN = "premise;id\nCafé au lait – “très bon”.;1\nA dog runs.;2\nEin Mädchen schläft.;3\n"


def test_windows_1252_is_offered_with_a_sample_and_then_read_without_loss():
    data = WESTERN.encode("cp1252")
    as_utf8 = read_premises(data, name="x.csv", column="premise")
    assert [row.reason for row in as_utf8.rejected] == ["not UTF-8", "not UTF-8"]
    assert encoding_offer(make_source(data, "x.csv")) == ("cp1252", "Café au lait – “très bon”.;1")
    read = read_premises(data, name="x.csv", column="premise", encoding="cp1252")
    assert [p.text for p in read.premises] == ["Café au lait – “très bon”.", "A dog runs.", "Ein Mädchen schläft."]
    assert (read.rejected, read.encoding) == ([], "cp1252")
    assert encoding_offer(make_source(WESTERN.encode(), "x.csv")) is None


def test_a_header_and_an_array_in_another_encoding():
    assert columns("Prämisse,n\nCafé,1\n".encode("cp1252"), name="x.csv", encoding="cp1252") == ["Prämisse", "n"]
    data = json.dumps([{"text": "Café"}], ensure_ascii=False).encode("latin-1")
    assert texts(data, "x.json", encoding="latin-1") == ["Café"]
    russian = "Собака бежит по берегу.\n" * 30
    assert texts(russian.encode("cp1251"), "x.txt", encoding="cp1251") == ["Собака бежит по берегу."]


@pytest.mark.parametrize("encoding", ["utf-16", "no such thing", "base64"])
def test_an_encoding_that_lines_cannot_be_read_in_is_refused(encoding):
    with pytest.raises(InputError, match="is no encoding"):
        make_source(b"x", "x.txt", encoding=encoding)


def test_one_sentence_in_two_normal_forms_is_one_and_keeps_its_text():
    composed, apart = (normalize(form, "Café à la crème.") for form in ("NFC", "NFD"))
    assert composed != apart
    file = read_premises(f"{apart}\n{composed}\n".encode(), name="x.txt")
    assert [premise.text for premise in file.premises] == [apart] and file.duplicates == 1
    assert Premise.from_text(composed).premise_id == Premise.from_text(apart).premise_id
    rows = [{"premise": text, "positive": text, "hard_negative": "n"} for text in (composed, apart)]
    assert read_triplets("\n".join(map(json.dumps, rows)).encode(), name="t.jsonl").duplicates == 1
    assert normalised(composed) == normalised(apart)
    assert is_copy(composed, apart)


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["4", " 4.5 ", "-0.25", "1e-3", ".5", "5."], [4, 4.5, -0.25, 0.001, 0.5, 5]),
        (["4,5", "0,125", "\N{MINUS SIGN}1,5"], [4.5, 0.125, -1.5]),
        (["1,000", "1,000.5", "1,234,567"], [1000, 1000.5, 1234567]),
        (["1.000", "1.000,5", "1.234.567"], [1000, 1000.5, 1234567]),
        (["3,125", "4,5"], [3.125, 4.5]),
        (["3.125", "2.750"], [3.125, 2.75]),
        (["1,000", "2,500"], [AMBIGUOUS, AMBIGUOUS]),
        (["4.5", "1,5", "1,000"], [4.5, 1.5, AMBIGUOUS]),
        (["1,00,0", "1_000", "nan", "inf", "1e999", "", ",", "٣", "1 000", "4/5"], [NOT_A_NUMBER] * 10),
    ],
)
def test_numbers_by_one_rule(cells, wanted):
    assert read_numbers(cells) == wanted


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_what_python_writes_is_read_back(values):
    assert read_numbers([repr(value) for value in values]) == values


@given(st.lists(st.integers(0, 10**9).map(lambda n: n / 100 + 1000), min_size=1))
def test_grouped_numbers_are_read_back_in_both_customs(values):
    english = [f"{value:,.2f}" for value in values]
    german = [cell.translate(str.maketrans(",.", ".,")) for cell in english]
    assert read_numbers(english) == read_numbers(german) == [round(value, 2) for value in values]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.txt", "rows.jsonl", "rows.parquet", "rows.xlsx"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    for read in (
        read_triplets,
        lambda file: read_premises(file, name=name),
        lambda file: column_names(make_source(file)),
    ):
        with pytest.raises(InputError, match="is a pipe or a device"):
            read(path)


SIDES = ("premise", "positive", "hard_negative")


@pytest.fixture
def storage():
    """fsspec's storage in memory, which knows files by address as s3 does."""
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_files_of_object_storage_are_read_like_those_of_a_disk(storage, tmp_path):
    lines = "\n".join(f"Premise {number}." for number in range(4)).encode()
    for address, content in (("memory://corpora/a.txt", lines), ("memory://corpora/b.txt.gz", gzip.compress(lines))):
        storage.pipe(address, content)
        found = read_premises(Path(address), name=Path(address).name)  # pathlib leaves one slash
        assert [premise.text for premise in found.premises] == lines.decode().split("\n")
    rows = [Triplet(f"A man {number}.", "Some man.", "No man.") for number in range(5)]
    for name in ("one.jsonl", "one.parquet"):
        write_triplets(tmp_path / name, rows)
        storage.pipe(f"memory://sets/{name}", (tmp_path / name).read_bytes())
        assert read_triplets(f"memory://sets/{name}").triplets == rows
        assert read_triplets(f"file://{tmp_path / name}").triplets == rows
    for part in range(2):
        storage.pipe(f"memory://folder/data/train-{part}.parquet", (tmp_path / "one.parquet").read_bytes())
    storage.pipe("memory://folder/data/test-0.parquet", b"of another split")
    assert read_triplets("memory://folder").lines == 10
    for address, why in (
        ("memory://sets/none.parquet", "cannot be opened"),
        ("s3://a/b.jsonl", "cannot be reached"),
    ):
        with pytest.raises(InputError, match=why):
            read_triplets(address)


def test_a_file_of_object_storage_is_never_loaded_whole(storage, monkeypatch):
    count, text = 40_000, "x" * 40
    table = pa.table({name: [f"{text} {name} {number}" for number in range(count)] for name in SIDES})
    with storage.open("memory://large.parquet", "wb") as stream:
        pq.write_table(table, stream, row_group_size=1_000, compression="none")
    read = []
    plain = type(storage.open("memory://large.parquet", "rb")).read

    def counted(self, size=-1):
        data = plain(self, size)
        read.append(len(data))
        return data

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.read", counted)
    stream = iter(TripletReading("memory://large.parquet"))
    assert next(stream).premise == f"{text} premise 0"
    assert 0 < sum(read) < 0.6 * storage.size("memory://large.parquet")  # a block of 20,000 is looked at for doubles
