"""A workspace of the first schema, its log with decisions as objects, goes on working and is rebuilt to the same."""

import json

from store_samples import dump

from workbench.store import Store
from workbench.store import store as schema
from workbench.store.connection import Database, run
from workbench.store.decisions import Decision
from workbench.store.filters import TripletFilter
from workbench.workspace import rebuild


def batch(number, name, action, *, positive=None, hard_negative=None, reverts=None):
    decision = {"triplet_id": name, "action": action, "positive": positive, "hard_negative": hard_negative}
    return {
        "table": "decisions",
        "batch_id": f"b{number}",
        "first_sequence": number,
        "annotator": "ann",
        "created_at": f"2026-01-0{number}",
        "reverts": reverts,
        "decisions": [decision | {"reason": "undo" if reverts else ""}],
    }


OLD = [
    batch(1, "old-0", "edit", positive="better", hard_negative="n"),
    batch(2, "old-1", "reject"),
    batch(3, "old-1", "reset", reverts="b2"),
]


def test_first_schema_is_migrated_and_rebuilt_to_the_same(tmp_path, monkeypatch):
    path = tmp_path / "state.duckdb"
    row = {"table": "triplets", "attempt_id": "old", "premise": "s", "positive": "p", "hard_negative": "n"}
    (tmp_path / "imports").mkdir()
    lines = [{"table": "imports", "import_id": "old", "kind": "triplets", "name": "old", "created_at": "2026"}]
    lines += [row | {"triplet_id": f"old-{number}"} for number in range(3)]
    (tmp_path / "imports" / "old.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        database = Database(path)
        schema.migrate(database)
        with database.write() as cursor:
            for line in OLD:
                [decision] = line["decisions"]
                values = line | decision | {"sequence": line["first_sequence"]}
                names = ("sequence", "batch_id", "triplet_id", "action", "positive", "hard_negative", "annotator",
                         "reason", "created_at", "reverts")  # fmt: skip
                run(cursor, f"INSERT INTO decisions ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                    [values[name] for name in names])  # fmt: skip
        database.close()
    with Store(path) as store:
        assert store.decisions.latest()["action"].tolist() == ["edit"]
        with store.database.read() as cursor:
            assert run(cursor, "SELECT count(*), sum(rows) FROM decision_batches") == [(3, 3)]
        (tmp_path / "decisions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in OLD))
        assert store.decisions.redo("ann") is not None
        assert store.decisions.latest()["action"].tolist() == ["edit", "reject"]
        store.decisions.append([Decision("old-2", "swap", annotator="bob")])
        shown = store.triplets.rows(TripletFilter())
        assert shown["positive"].tolist() == ["better", "p", "n"]
        before = dump(store)
    rebuild(tmp_path)
    with Store(path) as store:
        assert dump(store) == before
