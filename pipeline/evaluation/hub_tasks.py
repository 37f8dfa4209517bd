"""STS and retrieval tasks from the Hugging Face Hub at pinned revisions, written in the layouts that are read here.

The revisions are those that mteb pins. A task is written atomically with a record of its source, and rejected if its
number of pairs is not the published one.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pipeline.durable import whole_folder, write_json
from pipeline.evaluation.own_pairs import ScoredPair, write_task
from pipeline.records import InputError, UnreachableError

Row = Mapping[str, Any]
Load = Callable[[str, str | None, str], Iterable[Row]]
"""Takes a repository, a configuration's name and a revision; returns the rows of the evaluated split."""


@dataclass(frozen=True, slots=True)
class HubTask:
    """A task's source on the hub."""

    repository: str
    revision: str
    """Commit of the repository, which keeps the task unchanged."""
    rows: int
    """Expected number of pairs (STS) or documents (retrieval)."""


STS_ON_HUB: dict[str, HubTask] = {
    "STS12": HubTask("mteb/sts12-sts", "a0d554a64d88156834ff5ae9920b964011b16384", 3108),
    "STS13": HubTask("mteb/sts13-sts", "7e90230a92c190f1bf69ae9002b8cea547a64cca", 1500),
    "STS14": HubTask("mteb/sts14-sts", "6031580fec1f6af667f0bd2da0a551cf4f0b2375", 3750),
    "STS15": HubTask("mteb/sts15-sts", "ae752c7c21bf194d8b67fd573edf7ae58183cbe3", 3000),
    "STS16": HubTask("mteb/sts16-sts", "4d8694f8f0e0100860b497b999b3dbed754a0513", 1186),
    "STSB-test": HubTask("mteb/stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831", 1379),
    "SICKR-test": HubTask("mteb/sickr-sts", "20a6d6f312dd54037fe07a32d58e5e168867909d", 4927),
}
RETRIEVAL_ON_HUB: dict[str, HubTask] = {
    "NanoArguAna": HubTask("mteb/NanoArguAnaRetrieval", "63ac9f026e8f6b85dc0622f3d630ed7a1758e9ec", 3635),
    "NanoFiQA2018": HubTask("mteb/NanoFiQA2018Retrieval", "ede84da4793cd2d4e61bba0dd08fc58de90f3681", 4598),
    "NanoNFCorpus": HubTask("mteb/NanoNFCorpusRetrieval", "2eec9d63140fb9af7c75ad0fdbf6350aaf20e94e", 2953),
    "NanoQuora": HubTask("mteb/NanoQuoraRetrieval", "3ee153e5710da83a7f35df0cb1db4a0ad036072a", 5046),
    "NanoSCIDOCS": HubTask("mteb/NanoSCIDOCSRetrieval", "cf39b8741a6f2e984d0b8f4796b2dd5bb65390f9", 2210),
    "NanoSciFact": HubTask("mteb/NanoSciFactRetrieval", "8c5f7bbe90bb865f46c67710221afa7d9096251b", 2919),
    "NFCorpus": HubTask("mteb/nfcorpus", "ec0fa4fe99da2ff19ca1214b7966684033a58814", 3633),
    "SciFact": HubTask("mteb/scifact", "d56462d0e63a25450459c4f213e49ffdb866f7f9", 5183),
}
"""Small enough for two cores: NanoBEIR's tasks have 50 queries each; the last two are BEIR's own."""

ON_HUB = {"sts": STS_ON_HUB, "retrieval": RETRIEVAL_ON_HUB}

_SICK_BLOCKS = (4500, 500)
"""Sizes of SICK's train and trial sets, which the hub's copy mixes with the test pairs in an unstated order."""
_SICK_TEST_DIGEST = "caefc946e31bd4eb0302932cf0bef347"
"""Digest of the test pairs in any order, ignoring white space; it tells them from the other 5,000."""


def fetch_sts(name: str, folder: Path, load: Load) -> int:
    """Write FOLDER/NAME.tsv and return its number of pairs.

    Raises InputError for an unknown task or an unexpected number of pairs, and whatever `load` raises.
    """
    task = _known(name, STS_ON_HUB)
    pairs = [
        ScoredPair(_spaced(row["sentence1"]), _spaced(row["sentence2"]), float(row["score"]))
        for row in load(task.repository, None, task.revision)
    ]
    if name == "SICKR-test":
        pairs = sick_test_pairs(pairs)
    _check(name, task, len(pairs), "pairs")
    folder.mkdir(parents=True, exist_ok=True)
    write_task(pairs, folder / f"{name}.tsv")
    _record(folder, name, task)
    return len(pairs)


def sick_test_pairs(pairs: Sequence[ScoredPair]) -> list[ScoredPair]:
    """Return SICK's 4,927 test pairs from a copy that holds train, trial and test one after the other.

    mteb evaluates all 9,927, hence its SICK-R is not the published task. Raises InputError if the test set is not
    found in the copy.
    """
    wanted = STS_ON_HUB["SICKR-test"].rows
    train, trial = _SICK_BLOCKS
    for start in (0, trial, train, train + trial):
        stretch = list(pairs[start : start + wanted])
        if pairs_digest(stretch) == _SICK_TEST_DIGEST:
            return stretch
    raise InputError(
        f"The hub's copy of SICK-R holds {len(pairs):,} pairs and its 4,927 test pairs could not be told apart: "
        "put SentEval's SICK/SICK_test_annotated.txt into the folder instead."
    )


def pairs_digest(pairs: Iterable[ScoredPair]) -> str:
    """Return a hash of pairs of texts that ignores their order and white space."""
    lines = sorted(f"{_spaced(pair.first)}\t{_spaced(pair.second)}" for pair in pairs)
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def fetch_retrieval(name: str, folder: Path, load: Load) -> int:
    """Write FOLDER/NAME in BEIR's layout and return its number of documents; errors as in `fetch_sts`."""
    task = _known(name, RETRIEVAL_ON_HUB)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder / name, over=True) as target:
        (target / "qrels").mkdir()
        documents = _write_texts(target / "corpus.jsonl", load(task.repository, "corpus", task.revision))
        _check(name, task, documents, "documents")
        _write_texts(target / "queries.jsonl", load(task.repository, "queries", task.revision))
        relevant = load(task.repository, "default", task.revision)
        lines = [f"{row['query-id']}\t{row['corpus-id']}\t{int(row['score'])}" for row in relevant]
        (target / "qrels" / "test.tsv").write_text(
            "\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n", encoding="utf-8"
        )
    _record(folder, name, task)
    return documents


def fetched(folder: Path) -> dict[str, dict[str, Any]]:
    """Return task -> repository, revision and rows for the downloaded tasks that are still in this folder."""
    path = folder / "sources.json"
    records = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {
        name: task
        for name, task in records.items()
        if (folder / f"{name}.tsv").is_file() or (folder / name / "corpus.jsonl").is_file()
    }


def _known(name: str, tasks: dict[str, HubTask]) -> HubTask:
    if name not in tasks:
        raise InputError(f"There is no task {name!r} to fetch; choose among {', '.join(tasks)}.")
    return tasks[name]


def _check(name: str, task: HubTask, rows: int, noun: str) -> None:
    if rows != task.rows:
        raise InputError(f"{task.repository} gave {rows:,} {noun} of {name} where {task.rows:,} are published.")


def _write_texts(path: Path, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            fields = {"_id": str(row.get("_id", row.get("id"))), "title": row.get("title") or "", "text": row["text"]}
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")
            count += 1
    return count


def _record(folder: Path, name: str, task: HubTask) -> None:
    write_json(folder / "sources.json", fetched(folder) | {name: asdict(task)}, indent=1)


def _spaced(text: str) -> str:
    return " ".join(str(text).split())


_SPLITS = ("test", "train")
"""The evaluated split is the first of these that exists, or else the configuration's first split."""


def hub_rows(cache: Path) -> Load:
    """Return a function that loads rows; downloads go to `cache`, and no code of a data set is run."""

    def load(repository: str, configuration: str | None, revision: str) -> Iterable[Row]:
        from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

        with one_sentence(repository):
            known = get_dataset_config_names(repository, revision=revision)
            if configuration is None or (configuration == "default" and "default" not in known):
                configuration = "qrels" if "qrels" in known else known[0]
            splits = get_dataset_split_names(repository, configuration, revision=revision)
            split = next((name for name in _SPLITS if name in splits), splits[0])
            return load_dataset(repository, configuration, revision=revision, split=split, cache_dir=str(cache))

    return load


@contextmanager
def one_sentence(repository: str) -> Iterator[None]:
    """Turn errors of a missing or broken data set into InputError, and network errors into UnreachableError."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except ConnectionError as error:
        raise UnreachableError(
            f"The hub cannot be reached to fetch {repository}: check the network, or name a folder with the task."
        ) from error
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"{repository} could not be fetched from the hub ({told}).") from error
