"""Numbered steps of the schema, each recorded in its own transaction and followed by a checkpoint.

Append-only tables, no secondary indexes, no foreign keys; a primary key only where ON CONFLICT needs one.
Times are ISO 8601 text in UTC: they sort, and they are JSON as they are.
"""

from typing import Final

from pipeline.records import InputError
from workbench.store.connection import Database, run

STEPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "first tables",
        (
            """CREATE TABLE ingested (
                source VARCHAR PRIMARY KEY, position BIGINT, tail VARCHAR, rejected BIGINT, unknown VARCHAR)""",
            """CREATE TABLE imports (
                import_id VARCHAR PRIMARY KEY, kind VARCHAR, name VARCHAR, source VARCHAR, duplicates BIGINT,
                rejected VARCHAR, created_at VARCHAR)""",
            """CREATE TABLE premises (
                corpus_id VARCHAR, position BIGINT, premise_id VARCHAR, text VARCHAR,
                PRIMARY KEY (corpus_id, position))""",
            """CREATE TABLE triplets (
                triplet_id VARCHAR PRIMARY KEY, attempt_id VARCHAR, premise_id VARCHAR, premise VARCHAR,
                positive VARCHAR, hard_negative VARCHAR, positive_raw VARCHAR, hard_negative_raw VARCHAR,
                positive_outcome VARCHAR, hard_negative_outcome VARCHAR, contrast VARCHAR, omega DOUBLE,
                seed BIGINT, llm VARCHAR, prompt_set VARCHAR, tokens BIGINT, origin VARCHAR)""",
            """CREATE TABLE judgements (
                triplet_id VARCHAR, judge_id VARCHAR, attempt_id VARCHAR, calibration VARCHAR, a_raw DOUBLE,
                b_raw DOUBLE, a DOUBLE, b DOUBLE, source VARCHAR, PRIMARY KEY (triplet_id, judge_id))""",
            """CREATE TABLE decisions (
                sequence BIGINT PRIMARY KEY, batch_id VARCHAR, triplet_id VARCHAR, action VARCHAR, positive VARCHAR,
                hard_negative VARCHAR, annotator VARCHAR, reason VARCHAR, created_at VARCHAR, reverts VARCHAR)""",
            """CREATE TABLE snapshots (
                snapshot_id VARCHAR PRIMARY KEY, name VARCHAR, attempt_ids VARCHAR, judge_id VARCHAR,
                rule VARCHAR, rows BIGINT, file VARCHAR, sha256 VARCHAR, created_at VARCHAR)""",
            """CREATE TABLE train_steps (
                run_id VARCHAR, step BIGINT, steps BIGINT, loss DOUBLE, learning_rate DOUBLE, masked_share DOUBLE,
                triplets_per_s DOUBLE, dev_score DOUBLE, PRIMARY KEY (run_id, step))""",
            """CREATE TABLE encoders (
                encoder_id VARCHAR PRIMARY KEY, name VARCHAR, folder VARCHAR, run_id VARCHAR,
                snapshot_id VARCHAR, base VARCHAR, created_at VARCHAR)""",
            """CREATE TABLE scores (
                encoder_id VARCHAR, task VARCHAR, spearman DOUBLE, accuracy DOUBLE, pairs BIGINT, job_id VARCHAR,
                PRIMARY KEY (encoder_id, task, job_id))""",
            """CREATE TABLE projections (
                projection_id VARCHAR PRIMARY KEY, encoder_id VARCHAR, corpus VARCHAR, method VARCHAR,
                path VARCHAR, trustworthiness DOUBLE, neighbour_recall DOUBLE, points BIGINT)""",
            """CREATE TABLE jobs (
                job_id VARCHAR PRIMARY KEY, kind VARCHAR, title VARCHAR, state VARCHAR, done BIGINT, total BIGINT,
                message VARCHAR, spec VARCHAR, created_at VARCHAR, started_at VARCHAR, finished_at VARCHAR)""",
        ),
    ),
    (
        "batches of decisions, and the state they leave",
        (
            """CREATE TABLE decision_batches (
                batch_id VARCHAR, first_sequence BIGINT, rows BIGINT, annotator VARCHAR, created_at VARCHAR,
                reverts VARCHAR)""",
            """INSERT INTO decision_batches
                SELECT batch_id, min(sequence), count(*), any_value(annotator), any_value(created_at),
                    any_value(reverts)
                FROM decisions GROUP BY batch_id ORDER BY min(sequence)""",
            """CREATE TABLE decided (
                triplet_id VARCHAR, sequence BIGINT, action VARCHAR, positive VARCHAR, hard_negative VARCHAR,
                annotator VARCHAR, reason VARCHAR, created_at VARCHAR)""",
            """INSERT INTO decided
                SELECT triplet_id, sequence, action, positive, hard_negative, annotator, reason, created_at
                FROM decisions SEMI JOIN (SELECT triplet_id, max(sequence) AS sequence FROM decisions GROUP BY ALL)
                USING (triplet_id, sequence) ORDER BY sequence""",
        ),
    ),
    ("retrieval scores", ("ALTER TABLE scores ADD COLUMN ndcg DOUBLE",)),
    (
        "sentences in lower case, for search",
        (
            "ALTER TABLE triplets ADD COLUMN search VARCHAR",
            "UPDATE triplets SET search = lower(concat_ws(chr(31), premise, positive, hard_negative))",
        ),
    ),
    ("what a snapshot was made from", ("ALTER TABLE snapshots ADD COLUMN details VARCHAR",)),
    (
        "what more a training step tells",
        tuple(
            f"ALTER TABLE train_steps ADD COLUMN {name} DOUBLE"
            for name in (
                *("info_nce", "masked_positives", "masked_hard_negatives", "masked_own"),
                *("memory_mb", "gpu_memory_mb", "gpu_use"),
            )
        ),
    ),
    (
        "registry of LLMs",
        (
            """CREATE TABLE llms (
                check_id VARCHAR PRIMARY KEY, name VARCHAR, entry VARCHAR, state VARCHAR, message VARCHAR,
                contrast VARCHAR, sample VARCHAR, checked_at VARCHAR, context_length BIGINT, tokens_per_s DOUBLE,
                load_s DOUBLE)""",
        ),
    ),
    (
        "what servers charged for",
        (
            """CREATE TABLE llm_usage (
                attempt_id VARCHAR, number BIGINT, calls BIGINT, prompt_tokens BIGINT, reply_tokens BIGINT,
                money DOUBLE, PRIMARY KEY (attempt_id, number))""",
        ),
    ),
    (
        "calibrations of judges",
        (
            """CREATE TABLE calibrations (
                version VARCHAR PRIMARY KEY, judge_id VARCHAR, created_at VARCHAR, source VARCHAR, fields VARCHAR,
                points VARCHAR, ensemble VARCHAR)""",
        ),
    ),
    (
        "attempts at premises from scratch",
        (
            """CREATE TABLE premise_attempts (
                corpus_id VARCHAR, topic VARCHAR, genre VARCHAR, asked VARCHAR, number BIGINT, length VARCHAR,
                text VARCHAR, outcome VARCHAR, reason VARCHAR,
                PRIMARY KEY (corpus_id, topic, genre, asked, number))""",
        ),
    ),
)


def migrate(database: Database) -> int:
    """Bring the schema up to date and return its number; a newer schema than ours is an InputError."""
    with database.write() as cursor:
        run(cursor, "CREATE TABLE IF NOT EXISTS migrations (number BIGINT, name VARCHAR)")
        [(applied,)] = run(cursor, "SELECT coalesce(max(number), 0) FROM migrations")
    if applied > len(STEPS):
        raise InputError(
            f"The workspace {database.path.parent} has schema {applied} and this version knows {len(STEPS)}; "
            "update the workbench."
        )
    for number, (name, statements) in enumerate(STEPS[applied:], start=applied + 1):
        with database.write() as cursor:
            for statement in statements:
                run(cursor, statement)
            run(cursor, "INSERT INTO migrations VALUES (?, ?)", [number, name])
        with database.exclusive() as cursor:
            run(cursor, "CHECKPOINT")  # no schema change is ever left to be replayed from the log
    return len(STEPS)
