import io
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.files.cells import MISSING
from pipeline.premises import PremiseFile, columns, preview, read_premises
from pipeline.records import InputError


def texts(file: PremiseFile) -> list[str]:
    return [premise.text for premise in file.premises]


def where(file: PremiseFile) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in file.rejected]


def adds_up(file: PremiseFile) -> bool:
    return len(file.premises) + file.duplicates + len(file.rejected) == file.lines


def parquet_bytes(**named_columns) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(named_columns), sink)
    return sink.getvalue()


def test_text_file_with_every_fault_a_line_can_have(tmp_path):
    path = tmp_path / "premises.txt"
    path.write_bytes(
        b"\xef\xbb\xbfA dog   barks.\r\n"  # 1 BOM, CRLF, run of spaces
        b"\r\n"  # 2
        b"A dog barks.\n"  # 3 the same premise
        b"Caf\xe9 au lait\n"  # 4 Latin-1
        b"\x01\x02\x00\n"  # 5
        b"nul \x00 inside\n"  # 6
        b"----\n" + b"x" * 2001 + b"\n"  # 7, 8
        b"Das M\xc3\xa4dchen schl\xc3\xa4ft."  # 9 no line end
    )
    file = read_premises(path)
    assert texts(file) == ["A dog barks.", "Das Mädchen schläft."]
    assert file.duplicates == 1
    assert where(file) == [
        (2, "empty"),
        (4, "not UTF-8"),
        (5, "control characters only"),
        (6, "control characters"),
        (7, "no letters or digits"),
        (8, "too long"),
    ]
    assert file.reasons()["empty"] == 1
    assert all(row.excerpt.isprintable() and len(row.excerpt) <= 320 for row in file.rejected)
    assert file.lines == 9 and adds_up(file)


def test_ten_megabyte_line_is_one_rejected_row_in_bounded_memory(tmp_path):
    path = tmp_path / "long.txt"
    path.write_bytes(b"before the line\n" + b"word " * 2_000_000 + b"\r\nafter the line\r\n")
    tracemalloc.start()
    file = read_premises(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert texts(file) == ["before the line", "after the line"]
    assert where(file) == [(2, "line too long")]
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("size", "is_kept"), [(50, True), (51, False), (52, False), (53, False)])
def test_a_line_is_cut_exactly_at_the_limit(end, size, is_kept):
    content = b"a" * size + end + b"next" + end
    file = read_premises(content, name="x.txt", max_line_bytes=50)
    assert texts(file) == (["a" * 50, "next"] if is_kept else ["next"])
    assert file.lines == 2


def test_csv_record_may_span_lines_and_hold_quotes(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b'id,sentence\n1,"two\nlines, ""quoted"""\n2,second\n\n3\n4,a,b\n5,\xff\n')
    file = read_premises(path, column="sentence")
    assert texts(file) == ['two lines, "quoted"', "second"]
    assert where(file) == [
        (5, "empty"),
        (6, "wrong number of columns"),
        (7, "wrong number of columns"),
        (8, "not UTF-8"),
    ]
    assert file.lines == 6 and adds_up(file)


def test_stray_quote_costs_its_own_row_only():
    """The csv library alone would swallow everything after the quote into one cell, without a word."""
    body = b"".join(b"%d,sentence number %d\n" % (n, n) for n in range(9_000))
    content = b'id,text\n0,"never closed\n' + body
    file = read_premises(content, name="x.csv", column="text")
    assert where(file) == [(2, "quote never closed")]
    assert file.lines == 9_001
    assert texts(file) == [f"sentence number {n}" for n in range(9_000)]

    near_the_end = b'id,text\n1,good one\n0,"never closed\n2,good two\n'
    file = read_premises(near_the_end, name="x.csv", column="text")
    assert where(file) == [(3, "malformed csv")]
    assert texts(file) == ["good one", "good two"]


def test_overlong_csv_line_between_good_ones():
    content = b"id,text\n1,one\n2," + b"y" * 10_000_000 + b"\n3,three\n"
    file = read_premises(content, name="x.csv", column="text")
    assert texts(file) == ["one", "three"]
    assert where(file) == [(3, "line too long")]


def test_semicolon_csv_and_tab_separated_quotation_marks():
    assert texts(read_premises(b"a;premise\n1;Hello, you\n", name="x.csv")) == ["Hello, you"]
    tsv = b'a\tpremise\n1\t"Hello" she said\n2\t"\n3\t"Bye"\n'
    file = read_premises(tsv, name="x.tsv")
    assert texts(file) == ['"Hello" she said', '"Bye"']
    assert where(file) == [(3, "no letters or digits")]


def test_jsonl_rows():
    rows = [
        b'{"text": "A cat sleeps.", "n": 1}',
        b'{"text": "broken',
        b'["a", "list"]',
        b'{"other": "field"}',
        b'{"text": null}',
        b'{"text": 3}',
        b'{"text": "\\ud800 half a pair"}',
        b'{"text": "caf\xe9"}',
        b"",
        b"[" * 100_000,
        b'{"text": "line\\nbreak"}',
    ]
    file = read_premises(b"\n".join(rows), name="x.jsonl", column="text")
    assert texts(file) == ["A cat sleeps.", "line break"]
    assert [row.reason for row in file.rejected] == [
        "malformed JSON",
        "not a JSON object",
        "missing field",
        "missing field",
        "not text",
        "not valid Unicode",
        "not UTF-8",
        "empty",
        "malformed JSON",
    ]
    assert file.lines == len(rows) and adds_up(file)


def test_parquet_text_columns_of_every_kind():
    values = ["First sentence.", None, "First sentence.", "Second sentence."]
    for kind in (pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())):
        content = parquet_bytes(n=[1, 2, 3, 4], text=pa.array(values).cast(kind))
        file = read_premises(content, name="x.parquet")
        assert texts(file) == ["First sentence.", "Second sentence."], kind
        assert where(file) == [(2, "missing field")] and file.duplicates == 1
    bad_bytes = parquet_bytes(text=pa.array([b"caf\xe9", b"plain"]))
    assert where(read_premises(bad_bytes, name="x.parquet")) == [(1, "not UTF-8")]
    numbers = read_premises(parquet_bytes(n=[1, 2]), name="x.parquet")
    assert [row.reason for row in numbers.rejected] == ["not text"] * 2


@pytest.mark.parametrize(
    ("name", "content", "column", "says"),
    [
        ("x.txt", b"", None, "x.txt is empty"),
        ("x.txt", b"\xef\xbb\xbf", None, "x.txt is empty"),
        ("x.txt", bytes(range(256)) * 20, None, "binary file"),
        ("x.txt", b"GGUF\x03\x00\x00\x00", None, "GGUF model"),
        ("x.csv", b"PK\x03\x04rest of a workbook", None, "office document"),
        ("x.txt", "some words".encode("utf-16"), None, "UTF-16"),
        ("x.txt", b"old\rline\rends", None, "CR alone"),
        ("x.docx", b"words", None, "cannot be read (.docx)"),
        ("x.csv", b"id,sentence\n1,words\n", "premise", "no column premise; choose among its columns: id, sentence"),
        ("x.csv", b"id,note\n1,words\n", None, "does not say which column holds the premise"),
        ("x.csv", b"id,text\n", "text", "header line but no rows"),
        ("x.csv", b'"id,text\n', "text", "no readable header line"),
        ("x.csv", b"id,\xe9t\xe9\n1,2\n", "text", "header line that is not UTF-8"),
        ("x.jsonl", b'{"a": "b"}\n', "text", "no column text; choose among its columns: a"),
        ("x.parquet", b"PAR1 but not really", None, "not a readable parquet file"),
        ("x.parquet", b"", None, "not a readable parquet file"),
    ],
)
def test_unusable_file_is_one_clear_sentence(name, content, column, says):
    with pytest.raises(InputError) as caught:
        read_premises(content, name=name, column=column)
    message = str(caught.value)
    assert says in message
    assert message.startswith(name) and message.endswith(".") and "\n" not in message


def test_damaged_and_empty_parquet():
    with pytest.raises(InputError, match="empty"):
        read_premises(parquet_bytes(text=pa.array([], pa.string())), name="x.parquet")
    content = bytearray(parquet_bytes(text=[f"sentence number {n}" for n in range(5_000)]))
    content[100:4_000] = bytes(3_900)
    with pytest.raises(InputError, match=r"damaged|not a readable"):
        read_premises(bytes(content), name="x.parquet")


def test_missing_file_and_folder_say_so(tmp_path):
    for path in (tmp_path / "nowhere.txt", tmp_path / "nowhere.parquet", tmp_path):
        with pytest.raises(InputError, match="cannot be opened"):
            read_premises(path)


def test_columns_and_preview(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("id,,sentence\n1,x,\n2,x,One here.\n3,x,Two here.\n", encoding="utf-8")
    assert columns(path) == ["id", "column 2", "sentence"]
    assert preview(path, "sentence", rows=1) == ["One here."]
    assert columns(b"some words") == ["text"]
    assert columns(b'{"a": "x"}\n{"b": "y"}\n', name="x.jsonl") == ["a", "b"]
    assert columns(parquet_bytes(a=[1], b=["x"]), name="x.parquet") == ["a", "b"]


pieces = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=30).map(str.encode),
    st.sampled_from(
        [b'"', b",", b"\t", b"\n", b"\r\n", b"\r", b"\x00", b'{"text": "a"}\n', b"a,b\n", b'"a\n', b"long" * 20]
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=40).map(b"".join), st.sampled_from(["x.txt", "x.csv", "x.tsv", "x.jsonl"]))
def test_counts_add_up_on_any_bytes(content, name):
    header = {"x.csv": b"text,b\n", "x.tsv": b"text\tb\n", "x.jsonl": b'{"text": "first"}\n'}.get(name, b"plain\n")
    filler = b"an ordinary sentence,x\n" * 40  # keeps the whole from looking like a binary file
    content = header + filler + content
    file = read_premises(content, name=name, column="text", max_line_bytes=60)
    assert adds_up(file)
    assert len(set(texts(file))) == len(file.premises)
    assert all(premise.text == " ".join(premise.text.split()) for premise in file.premises)
    if name in ("x.txt", "x.jsonl"):
        assert file.lines == content.count(b"\n") + (not content.endswith(b"\n"))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["x.txt", "x.csv", "x.tsv", "x.jsonl", "x.parquet"]))
def test_arbitrary_bytes_give_counts_or_one_sentence(content, name):
    try:
        file = read_premises(content, name=name)
    except InputError as error:
        assert str(error).startswith(name)
    else:
        assert adds_up(file)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=40), min_size=1))
def test_every_format_gives_the_same_premises(sentences):
    """The four formats are four spellings of one list: what is accepted must not depend on the spelling."""
    if not any(sentence.strip() for sentence in sentences):
        return
    plain = [" ".join(sentence.split()) or "-" for sentence in sentences]
    plain = [f"{sentence}." if sentence in MISSING else sentence for sentence in plain]  # text in typed files only
    quoted = "\r\n".join('"' + sentence.replace('"', '""') + '",1' for sentence in plain)
    json_lines = "\n".join(json.dumps({"text": sentence}) for sentence in plain)
    files = [
        read_premises("\n".join(plain).encode(), name="x.txt"),
        read_premises(f"text,n\r\n{quoted}".encode(), name="x.csv", column="text"),
        read_premises(json_lines.encode(), name="x.jsonl"),
        read_premises(parquet_bytes(text=plain), name="x.parquet"),
    ]
    first = files[0]
    for file in files:
        assert (texts(file), file.duplicates, file.reasons()) == (texts(first), first.duplicates, first.reasons())


def test_shipped_premises_are_clean():
    path = Path(__file__).parents[2] / "assets" / "premises.txt"
    file = read_premises(path)
    assert len(file.premises) >= 360
    assert file.duplicates == 0 and not file.rejected
    words = [len(text.split()) for text in texts(file)]
    assert min(words) >= 5 and max(words) <= 28
    assert len({text.split()[0] for text in texts(file)}) > 200
