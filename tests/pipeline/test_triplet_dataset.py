"""The datasets folder against the `datasets` library itself, in both directions."""

import datasets
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset_folder import DatasetCard, write_dataset
from pipeline.exchange import TripletReading, read_triplets
from pipeline.records import InputError, Triplet

ROWS = [Triplet("=A dog, barks.", '\'-5 "degrees"', "line\nbreak"), Triplet("b", "c <i>", "d|e")]
COLUMNS = ["premise", "positive", "hard_negative"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def as_triplets(dataset):
    return [Triplet(*(row[name] for name in COLUMNS)) for row in dataset]


def test_datasets_loads_the_folder_and_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.dataset_folder._ROWS_A_FILE", 2)
    rows = [*ROWS, *(Triplet(f"p{n}", f"q{n}", f"r{n}") for n in range(3))]
    folder = tmp_path / "mine"
    card = DatasetCard('Nice: "set"', {"Written by": [("run | 1", "smollm2 <b>")], "Nothing": []})
    assert write_dataset(folder, rows, card) == 5
    assert sorted(path.name for path in (folder / "data").iterdir()) == [
        f"train-0000{n}-of-00003.parquet" for n in range(3)
    ]
    assert as_triplets(datasets.load_dataset(str(folder), split="train")) == rows
    _, head, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    about = yaml.safe_load(head)
    assert about["pretty_name"] == 'Nice: "set"'
    assert about["dataset_info"]["splits"] == [{"name": "train", "num_examples": 5}]
    assert r"| run \| 1 | smollm2 \<b\> |" in body and "Nothing" not in body
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_full_last_part_gets_no_empty_one_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.dataset_folder._ROWS_A_FILE", 1)
    assert write_dataset(tmp_path / "two", ROWS, DatasetCard("two")) == 2
    assert len(list((tmp_path / "two" / "data").iterdir())) == 2


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="exists already"):
        write_dataset(tmp_path / "mine", ROWS, DatasetCard("mine"))


def test_a_round_trip_gives_every_text_back(tmp_path):
    write_dataset(tmp_path / "mine", ROWS, DatasetCard("mine"))
    assert read_triplets(tmp_path / "mine").triplets == ROWS


def test_what_datasets_saves_is_read(tmp_path):
    made = datasets.Dataset.from_dict({name: [getattr(row, name) for row in ROWS] for name in COLUMNS})
    made.save_to_disk(str(tmp_path / "saved"))
    assert read_triplets(tmp_path / "saved").triplets == ROWS
    both = datasets.DatasetDict({"train": made, "test": made.select([0])})
    both.save_to_disk(str(tmp_path / "splits"))
    reading = TripletReading(tmp_path / "splits")
    assert list(reading) == ROWS and reading.lines == 2


def test_links_out_and_hidden_files_are_not_read(tmp_path):
    outside = tmp_path / "secret.jsonl"
    outside.write_text('{"premise": "a", "positive": "b", "hard_negative": "c"}\n')
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").symlink_to(outside)
    (folder / ".train.jsonl").write_text(outside.read_text())
    with pytest.raises(InputError, match="holds no data file"):
        read_triplets(folder)


names = st.sampled_from(["yes", "no", "also", "", "..."])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(names, names, names), min_size=1, max_size=12))
def test_streaming_counts_add_up_and_equal_the_whole_reading(rows):
    lines = ["sent0\tsent1\thard_neg", *("\t".join(row) for row in rows)]
    content = ("\n".join(lines) + "\n").encode()
    whole, reading = read_triplets(content, name="t.tsv"), TripletReading(content, name="t.tsv")
    assert list(reading) == whole.triplets
    assert (reading.lines, reading.duplicates, dict(reading.reasons)) == (
        whole.lines,
        whole.duplicates,
        whole.reasons(),
    )
    assert reading.kept + reading.duplicates + reading.rejected == reading.lines == len(rows)
