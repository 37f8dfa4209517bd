"""Which batches of decisions are in force, which one undo or redo turns next, and what that leaves behind."""

STANDING = """
    taken_back AS (SELECT reverts AS batch_id FROM decision_batches WHERE reverts IS NOT NULL
        AND batch_id NOT IN (SELECT reverts FROM decision_batches WHERE reverts IS NOT NULL)),
    standing AS (SELECT batch_id, annotator, first_sequence FROM decision_batches WHERE reverts IS NULL
        AND batch_id NOT IN (SELECT batch_id FROM taken_back))
"""
"""Batches in force. An undo is a batch that reverts a batch of decisions; a redo is one that reverts an undo."""
LAST_STANDING = f"""
    WITH {STANDING} SELECT batch_id, batch_id FROM standing WHERE annotator = $annotator
    ORDER BY first_sequence DESC LIMIT 1
"""
LAST_UNDO = f"""
    WITH {STANDING}, made AS (SELECT coalesce(max(first_sequence), 0) AS last FROM decision_batches
        WHERE annotator = $annotator AND reverts IS NULL)
    SELECT undo.batch_id, undo.reverts FROM decision_batches AS undo
    JOIN decision_batches AS undone ON undone.batch_id = undo.reverts AND undone.reverts IS NULL
    WHERE undo.annotator = $annotator AND undo.first_sequence > (SELECT last FROM made)
        AND undo.batch_id NOT IN (SELECT batch_id FROM taken_back)
    ORDER BY undo.first_sequence DESC LIMIT 1
"""
STATES = f"""
    WITH {STANDING},
    touched AS (SELECT DISTINCT triplet_id FROM decisions WHERE batch_id = $batch),
    mine AS (SELECT triplet_id, max(sequence) AS sequence FROM decisions WHERE batch_id = $batch GROUP BY triplet_id),
    others AS (SELECT triplet_id, max(sequence) AS sequence FROM decisions SEMI JOIN touched USING (triplet_id)
        WHERE batch_id <> $batch AND batch_id IN (SELECT batch_id FROM standing) GROUP BY triplet_id)
    SELECT mine.triplet_id, coalesce(s.action, 'reset'), s.positive, s.hard_negative, coalesce(s.reason, ''),
        coalesce(b.annotator, $annotator)
    FROM mine LEFT JOIN others USING (triplet_id)
    LEFT JOIN decisions AS s ON s.sequence = CASE WHEN $back THEN others.sequence ELSE mine.sequence END
    LEFT JOIN decision_batches AS b ON b.batch_id = s.batch_id
    WHERE others.sequence IS NULL OR mine.sequence > others.sequence ORDER BY mine.sequence
"""
"""What becomes of the triplets of a batch when it is taken back, or put back: of those nobody decided later."""
STATE_COLUMNS = ("triplet_id", "action", "positive", "hard_negative", "reason", "decided_by")
