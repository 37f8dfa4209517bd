"""Bad inputs by the hundred: mutations of valid commands, files, calls, studies, prompt sets, tests and folders.

Each input is one fork of this process, as a user who owns nothing but a folder, with limits of memory and time. It
has to end with status 0, 2, 3 or 130, with at most three lines on standard error, without a traceback, below 2 GB and
30 s; where it is refused, nothing that the workspace keeps may have changed. Folders of tasks and of models go to the
functions that read them: their InputError counts as status 2.
"""

import argparse
import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import safetensors.numpy
from numpy import zeros

from pipeline.encoder_folders import check_folder
from pipeline.evaluation import retrieval, sts, transfer
from pipeline.generation.prompt_sets import SHIPPED
from pipeline.records import InputError
from pipeline.studies.spec_file import read_study
from tests.drills.calls import call, valid_calls
from tests.pages.filled import JUDGE, fill
from workbench.actions import ACTIONS
from workbench.cli.main import main as run_command
from workbench.workspace import Workspace

Act = Callable[[], int | None]
"""What an input does; returns an exit status."""
NOBODY = 65534
LONG = 100
"""Inputs from which on the calls are first tried as they are: a call that is always refused tests nothing."""
MOST_S, MOST_BYTES, MOST_LINES = 30.0, 2 << 30, 3
PRELOADED = (
    *("workbench.cli.curate", "workbench.cli.workspace", "workbench.cli.generate", "workbench.cli.train"),
    *("workbench.cli.evaluate", "rich.traceback", "encodings.idna", "openpyxl", "pyarrow.dataset", "yaml"),
    *("pyarrow.compute", "pyarrow.parquet", "gzip", "bz2", "lzma", "pandas.io.formats.format", "email.parser"),
)
NASTY = (
    *("", " ", "-1", "0", "9" * 30, "1e308", "nan", "-inf", "null", "[]", "{}", "true", "a" * 5000, "é" * 300),
    *("../../etc/passwd", "/dev/null", "/proc/self/mem", "/proc/self/environ", "~", "~nobody/x", ".", "/", "x" * 300),
    *("=1+1", "@SUM(A1)", "<b>x</b>", "$x$", ":material/x:", "%s%n", "\n", "\t", "\u202e\u200b", "'; DROP TABLE x"),
    *("--", "-", "--help", "--json", "\udcff", "a=b=c", "triplet", '{"a": 1e999}', '{"a": "\\u0000"}', "[" * 3000),
)
STUDY = """study: s
premises: premises.txt
train: {steps: 10, batch_size: 8}
generation: {omega: 0.5}
curation: {judge: "guide:all-MiniLM-L6-v2"}
evaluation: {tasks: [STSB-test]}
arms: [{name: a}, {name: b, train: {mask_rule: phi}}, {name: c, curation: true}]
contrasts: [{name: d, plus: [a], minus: [b]}]
"""
COMMANDS = (
    "jobs",
    "llms list",
    "encoders list",
    "prompts list",
    "curate list --limit 3 --order arrival",
    "curate next --by ann --limit 2",
    "curate undo --by ann",
    "curate decide TRIPLET --accept --by ann --reason fine",
    "curate bulk reject --by ann --where decision=undecided --dry-run",
    "curate freeze --name set --attempt ATTEMPT",
    "curate history TRIPLET",
    "curate rule save mine --alpha 2 --beta 3",
    "curate guidelines --shared 0.2",
    "import FOLDER/triplets.csv --name other --columns sent0,sent1,hard_neg",
    "import-premises FOLDER/premises.txt --name lines --encoding cp1252",
    "import-pairs FOLDER/pairs.csv --first a --second b --score s",
    "export FOLDER/out.csv --attempt ATTEMPT",
    "backup FOLDER/copy.duckdb",
    "call overview {}",
    "generate --corpus nothing --limit 2 --omega 0.5",
    "train --snapshot nothing --steps 3 --seed 1 --batch-size 4",
    "study FOLDER/absent.yaml --dry-run --seeds 2",
    "encoders add FOLDER/model --name e",
    "llms remove nothing",
    "pause nothing",
    "move nothing --up 1",
)


@dataclass
class Found:
    """Inputs and what came of them, by kind."""

    tried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    largest_mb: float = 0.0

    def tables(self) -> str:
        """Return the result in Markdown."""
        lines = ["| input | tried | accepted | refused in a sentence |", "|---|---|---|---|"]
        for kind, tried in sorted(self.tried.items()):
            lines.append(f"| {kind} | {tried} | {tried - self.refused[kind]} | {self.refused[kind]} |")
        tried, refused = self.tried.total(), self.refused.total()
        lines += [f"| all | {tried} | {tried - refused} | {refused} |", ""]
        lines += [f"Faults: {len(self.faults)}. Largest process {self.largest_mb:,.0f} MB."]
        return "\n".join([*lines, *(f"- {fault}" for fault in self.faults)])


def become_nobody() -> None:
    """Give up all rights but that to read, which the interpreter needs where it lies in a private folder."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS over the change of user
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    read_search = 1 << 2  # CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)(read_search, read_search, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "capset")


def isolated(folder: Path, act: Callable[[], int | None]) -> tuple[int, str, str, float, float]:
    """Run in a fork; return status, standard output, standard error, seconds and MB. Status -1: it was killed."""
    out, err = folder / "stdout", folder / "stderr"
    for path in (out, err):
        path.write_bytes(b"")
        path.chmod(0o666)
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
            resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
            become_nobody()
            if os.geteuid() == 0:
                os._exit(98)  # what is tried may be anything: never as root
            os.chdir(folder)
            try:
                status = act() or 0
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1
            except InputError as error:
                sys.stderr.write(f"{error}\n")
                status = 2
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        except BaseException:
            os._exit(99)
    while time.monotonic() - start < 4 * MOST_S:
        ended, how, used = os.wait4(pid, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(how)
            return (
                status,
                out.read_text(errors="replace"),
                err.read_text(errors="replace"),
                (used.ru_utime + used.ru_stime),
                used.ru_maxrss / 1024,
            )
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1, "", "it hung", time.monotonic() - start, 0.0


def fault_of(status: int, out: str, err: str, cpu_s: float, mb: float) -> str:
    """Return what is wrong with how an input ended; empty when nothing is."""
    told = [line for line in err.splitlines() if line.strip() and not line.startswith(("usage:", "  "))]
    if status not in (0, 2, 3, 130):
        return f"status {status}: {(told or ['no message'])[-1][:300]}"
    if "Traceback" in out + err:
        return "a traceback"
    if status and len(told) > MOST_LINES:
        return f"{len(told)} lines: {told[0][:200]}"
    if status and not told:
        return f"status {status} without a word"
    if cpu_s > MOST_S or mb * (1 << 20) > MOST_BYTES:
        return f"{cpu_s:.0f} s, {mb:.0f} MB"
    return ""


def kept(root: Path) -> str:
    """Return a digest of what people and jobs have put into the workspace."""
    digest = sha256()
    for pattern in ("decisions.jsonl", "*.json*", "guidelines.md", "imports/*", "snapshots/*", "jobs/*", "slices/*"):
        for path in sorted(root.glob(pattern)):
            digest.update(f"{path}".encode())
            digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def prepare(folder: Path) -> dict[str, Any]:
    """Write one valid input of every kind and a workspace with some triplets; return the words for commands."""
    (folder / "premises.txt").write_text("A dog runs.\nIt rains.\nTwo men talk.\n")
    columns = {"sent0": ["A dog runs.", "It rains."], "sent1": ["A dog.", "Rain."], "hard_neg": ["No.", "Sun."]}
    triplets = pd.DataFrame(columns)
    triplets.to_csv(folder / "triplets.csv", index=False)
    triplets.to_csv(folder / "triplets.tsv", index=False, sep="\t")
    triplets.to_csv(folder / "triplets.csv.gz", index=False)
    triplets.to_json(folder / "triplets.jsonl", orient="records", lines=True)
    triplets.to_json(folder / "triplets.json", orient="records")
    triplets.to_parquet(folder / "triplets.parquet", index=False)
    triplets.to_excel(folder / "triplets.xlsx", index=False)
    pd.DataFrame({"a": ["x y", "z"], "b": ["x", "w"], "s": [1.0, 4.5]}).to_csv(folder / "pairs.csv", index=False)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "prompts.json").write_text(json.dumps(SHIPPED[0].to_json() | {"prompt_set_id": "own"}))
    (folder / "sts").mkdir()
    (folder / "sts" / "STS12.tsv").write_text(
        "score\tsentence1\tsentence2\n4.5\tA dog runs.\tA dog.\n1.0\tIt rains.\tThe sun.\n3\ta\tb\n"
    )
    beir = folder / "beir" / "task"
    (beir / "qrels").mkdir(parents=True)
    (beir / "corpus.jsonl").write_text('{"_id": "d1", "title": "", "text": "a dog"}\n{"_id": "d2", "text": "rain"}\n')
    (beir / "queries.jsonl").write_text('{"_id": "q1", "text": "dog"}\n')
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    mr = folder / "senteval" / "downstream" / "MR"
    mr.mkdir(parents=True)
    for name in ("rt-polarity.pos", "rt-polarity.neg"):
        (mr / name).write_text("good film\nfine\n")
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1}))
    safetensors.numpy.save_file({"w": zeros((4, 4), "float32")}, model / "model.safetensors")
    (folder / "own").mkdir()
    with Workspace(folder / "ws") as workspace:
        made = fill(workspace)
        case = ACTIONS["add_behaviour_test"](workspace, **CASE)["case_id"]
    for path in (folder, *folder.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
    attempt = made["attempt"]
    return {name.upper(): made[name] for name in ("attempt", "snapshot", "run", "corpus")} | {
        **{"TRIPLET": f"{attempt}-00", "SECOND": f"{attempt}-01", "JUDGE": JUDGE, "CASE": case},
        "PROMPTS": json.loads((folder / "prompts.json").read_bytes()),
        "FOLDER": str(folder),
    }


def spoilt(data: bytes, random: Random) -> bytes:
    """Return a mutation of a file's bytes."""
    place = random.randrange(len(data) + 1)
    match random.randrange(9):
        case 0:
            return data[:place]
        case 1:
            return b""
        case 2:
            changed = bytearray(data or b"x")
            for _ in range(random.choice((1, 5, 60))):
                changed[random.randrange(len(changed))] = random.randrange(256)
            return bytes(changed)
        case 3:
            return data[:place] + b"\0" * random.choice((1, 100)) + data[place:]
        case 4:
            return data[:place] + random.choice(NASTY).encode(errors="surrogateescape") + data[place:]
        case 5:
            return data * random.choice((2, 50))
        case 6:
            return random.randbytes(random.choice((1, 300, 5000)))
        case 7:
            return data.decode("latin-1").encode(random.choice(("utf-16", "utf-8-sig", "cp037")))
        case _:
            lines = data.split(b"\n")
            random.shuffle(lines)
            return b"\n".join(lines)


def other_value(value: object, random: Random) -> object:
    """Return a mutation of a JSON value: a part of it replaced, removed or nested."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        name = random.choice(sorted(value))
        if random.random() < 0.2:
            return {key: item for key, item in value.items() if key != name}
        return value | {name: other_value(value[name], random)}
    wild = (None, True, -1, 0, 10**40, 1.5, -0.0, 1e308, "", "x" * 3000, [], {}, [[]], {"a": {"b": []}}, ["a"])
    return random.choice((*wild, *NASTY[:20]))


CASE = {"capability": "negation", "kind": "different", "sentence": "A dog.", "other": "No dog.", "third": ""}


def commands(random: Random, words: dict[str, Any]) -> list[str]:
    """Return a mutation of a valid command."""
    chosen = [words.get(word, word.replace("FOLDER", words["FOLDER"])) for word in random.choice(COMMANDS).split()]
    for _ in range(random.choice((0, 1, 1, 1, 2))):
        place = random.randrange(1, len(chosen) + 1) if len(chosen) > 1 else 1
        match random.randrange(4):
            case 0:
                chosen[place - 1 : place] = []
            case 1:
                chosen.insert(place, random.choice(NASTY))
            case 2 if place < len(chosen):
                chosen[place] = random.choice(NASTY)
            case _:
                chosen.insert(place, random.choice(chosen) if chosen else "")
    return [*chosen, "--workspace", f"{words['FOLDER']}/ws"]


def inputs(random: Random, folder: Path, words: dict[str, Any]) -> Iterator[tuple[str, str, Act]]:
    """Yield (kind, what it is, how it is run) for ever."""
    at = ["--workspace", str(folder / "ws")]
    while True:
        chosen = commands(random, words)
        yield "commands", repr(chosen)[:300], lambda chosen=chosen: run_command(chosen)

        name = random.choice([path.name for path in folder.glob("triplets.*")] + ["premises.txt", "pairs.csv"])
        data = spoilt((folder / name).read_bytes(), random)
        others = ("x.csv", "x.parquet", "x.xlsx", "x.jsonl.zst", "x.json")
        ending = name if random.random() < 0.8 else random.choice(others)
        path = folder / "own" / ending
        command = random.choice((["import"], ["import-premises"], ["import-premises", "--column", "sent0"]))
        line = [command[0], str(path), *command[1:], *at]
        yield "files of rows", f"{ending} {data[:60]!r}", saved(path, data, lambda c=line: run_command(c))

        action, arguments = call(random, words, other_value)
        line = ["call", action, arguments, *at]
        yield "calls of actions", f"{action} {arguments[:200]}", lambda c=line: run_command(c)

        data = spoilt(STUDY.encode(), random)
        path = folder / "own" / "study.yaml"
        yield "study files", repr(data[:200]), saved(path, data, lambda p=path: read_study(p) and 0)

        valid = json.loads((folder / "prompts.json").read_bytes())
        data = json.dumps(valid if random.random() < 0.4 else other_value(valid, random)).encode()
        data = data if random.random() < 0.6 else spoilt(data, random)
        path = folder / "own" / "prompts.json"
        line = ["prompts", "save", str(path), *at]
        yield "prompt sets", repr(data[:200]), saved(path, data, lambda c=line: run_command(c))

        arguments = json.dumps(CASE if random.random() < 0.2 else other_value(CASE, random))
        line = ["call", "add_behaviour_test", arguments, *at]
        yield "behavioural tests", arguments[:200], lambda c=line: run_command(c)

        for kind, base, read in FOLDERS:
            files = [path for path in (folder / base).rglob("*") if path.is_file()]
            chosen_file = random.choice(files)
            data = spoilt(chosen_file.read_bytes(), random)
            act = in_copy(folder, base, chosen_file.relative_to(folder / base), data, read)
            yield kind, f"{chosen_file.name} {data[:80]!r}", act


def saved(path: Path, data: bytes, act: Callable[[], int | None]) -> Callable[[], int | None]:
    """Return the act, which first writes its file as the user that it runs as."""

    def run() -> int | None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return act()

    return run


def in_copy(folder: Path, base: str, changed: Path, data: bytes, read: Callable[[Path], object]) -> Act:
    """Return an act that reads a copy of a folder of which one file is changed."""

    def run() -> int | None:
        with tempfile.TemporaryDirectory(dir=folder) as copy:
            for path in (folder / base).rglob("*"):
                target = Path(copy) / path.relative_to(folder / base)
                target.parent.mkdir(parents=True, exist_ok=True)
                if path.is_file():
                    target.write_bytes(path.read_bytes())
            (Path(copy) / changed).write_bytes(data)
            read(Path(copy))
        return 0

    return run


def read_beir(folder: Path) -> None:
    """Read every retrieval task of a folder."""
    for name, path in retrieval.find_retrieval(folder).items():
        retrieval.read_retrieval(name, path)


def read_senteval(folder: Path) -> None:
    """Read every transfer task of a folder."""
    for name, path in transfer.find_transfer(folder).items():
        transfer.read_transfer(name, path)


FOLDERS: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
    ("STS folders", "sts", sts.read_tasks),
    ("BEIR folders", "beir", read_beir),
    ("SentEval folders", "senteval", read_senteval),
    ("model folders", "model", check_folder),
)


def drill(count: int, seed: int, minutes: float = float("inf")) -> Found:
    """Try so many inputs, or until the minutes are over."""
    found, random, end = Found(), Random(seed), time.monotonic() + 60 * minutes
    for name in PRELOADED:
        try:
            import_module(name)
        except ModuleNotFoundError:
            pass  # an optional one
    with tempfile.TemporaryDirectory(prefix="inputs-", ignore_cleanup_errors=True) as base:
        folder = Path(base)
        folder.chmod(0o755)
        words = prepare(folder)
        for action, given in valid_calls(words) if count >= LONG else ():
            line = ["call", action, json.dumps(given), "--workspace", str(folder / "ws")]
            status, _, said, *_ = isolated(folder, lambda c=line: run_command(c))
            if status:
                found.faults.append(f"the valid call {action} {given}: {said[:300]}")
        for kind, what, act in inputs(random, folder, words):
            if found.tried.total() >= count or time.monotonic() > end:
                break
            before = kept(folder / "ws")
            ended = isolated(folder, act)
            found.tried[kind] += 1
            found.refused[kind] += ended[0] != 0
            found.largest_mb = max(found.largest_mb, ended[4])
            fault = fault_of(*ended)
            if not fault and ended[0] == 2 and kept(folder / "ws") != before:
                fault = "it was refused and changed the workspace"
            if fault:
                found.faults.append(f"{kind}: {what}: {fault}")
                sys.stderr.write(f"{found.faults[-1]}\n")
    return found


def main() -> int:
    """Run the drill of the command line and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = drill(options.inputs, options.seed, options.minutes)
    sys.stdout.write(found.tables() + "\n")
    return int(bool(found.faults))


if __name__ == "__main__":
    sys.exit(main())
