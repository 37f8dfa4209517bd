"""Small rows and tables that several tests fill a store with."""

import pandas as pd

from workbench.store import Store


def premises(count: int) -> pd.DataFrame:
    numbers = range(count)
    return pd.DataFrame({"premise_id": [f"p{i}" for i in numbers], "text": [f"sentence {i}" for i in numbers]})


def triplet_row(triplet_id: str, attempt_id: str = "attempt", **changes: object) -> dict[str, object]:
    return {
        "table": "triplets",
        "triplet_id": triplet_id,
        "attempt_id": attempt_id,
        "premise_id": f"premise of {triplet_id}",
        "premise": f"A man reads {triplet_id}.",
        "positive": f"Somebody reads {triplet_id}.",
        "hard_negative": f"Nobody reads {triplet_id}.",
        "positive_raw": " raw positive",
        "hard_negative_raw": " raw negative",
        "positive_outcome": "ok",
        "hard_negative_outcome": "ok",
        "contrast": "token",
        "omega": 0.5,
        "seed": 1,
        "llm": "stand-in",
        "prompt_set": "default",
        "tokens": 7,
        "origin": "generated",
    } | changes


def add_import(store: Store, name: str, source: str, frame: pd.DataFrame) -> str:
    """Store triplets as an import does; return the id of their attempt."""
    rows = (
        frame[["premise_id", "premise", "positive", "hard_negative"]].astype(str).itertuples(index=False, name=None)
    )
    return store.triplets.import_rows(name, source, rows, lambda: {"rejected": {}, "duplicates": 0})


def add(store: Store, table: str, rows: list[dict[str, object]]) -> int:
    """Insert rows as the ingester would; return how many were unusable."""
    tables = {
        "triplets": store.triplets,
        "judgements": store.judgements,
        "train_steps": store.runs,
        "scores": store.scores,
        "encoders": store.encoders,
    }
    with store.database.write() as cursor:
        return tables[table].insert(cursor, rows)


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, sorted, so that two databases can be compared."""
    with store.database.read() as cursor:
        names = [name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {
            name: sorted(cursor.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in sorted(names)
        }
