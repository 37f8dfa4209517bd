"""Premises from scratch: cells fill up, every attempt has one outcome, and a stopped run goes on where it was."""

from collections import Counter
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch

from pipeline.config import ScratchConfig
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.premise_prompts import GENRES, TOPICS, Length
from pipeline.generation.written_premises import Cell, CellGrid, PremiseOutcome, cells, write_premises
from pipeline.records import InputError

CELL = Cell("dogs", "caption", Length.SHORT)


class ScriptedEngine:
    """An engine whose tokens are characters and whose rows each write the next of the given sentences."""

    name, kind, vocabulary, window, cells, prefix_cells = "scripted", "script", 256, 8192, 100_000, 0
    rows, sequences, ahead = 64, 256, 1

    def __init__(self, replies):
        self._replies = cycle(replies)
        self._rows: dict[int, list[int]] = {}
        self.ends = np.array([token == ord("\n") for token in range(self.vocabulary)])

    def tokenize(self, text, *, marked=False):
        return list(text.encode("latin-1"))

    def detokenize(self, tokens, *, marked=False):
        return bytes(tokens).decode("latin-1")

    def prefix(self, tokens):
        return 0

    def share(self, source, target):
        pass

    def forget(self, sequence):
        self._rows.pop(sequence, None)

    def logits(self, pieces, tokens=None):
        logits = np.zeros((len(pieces), self.vocabulary), dtype=np.float32)
        for row, piece in enumerate(pieces):
            if piece.sequence not in self._rows:
                self._rows[piece.sequence] = self.tokenize(f"{next(self._replies)}\n")
            logits[row, self._rows[piece.sequence].pop(0)] = 50
        return torch.from_numpy(logits)


def scripted(replies):
    return GgufLLM(ScriptedEngine(replies))


def sentences(count):
    """Distinct sentences of changing length, five of each class in a row of fifteen."""
    for number in range(count):
        yield f"W{number}a " + " ".join(f"w{number}x{i}" for i in range((2, 8, 13)[number % 3])) + " end."


CONFIG = ScratchConfig(topics=("dogs", "trains"), genres=("caption", "news"), per_cell=2, max_new_tokens=200)


def test_every_cell_gets_its_target_and_counts_add_up():
    attempts = list(write_premises(CONFIG, scripted(sentences(300))))
    kept = [attempt for attempt in attempts if attempt.outcome is PremiseOutcome.OK]
    assert Counter(attempt.cell for attempt in kept) == dict.fromkeys(cells(CONFIG), 2)
    assert len({attempt.text for attempt in kept}) == len(kept)
    assert {attempt.outcome for attempt in attempts} <= {PremiseOutcome.OK, PremiseOutcome.CELL_FULL}
    assert len({(attempt.asked, attempt.number) for attempt in attempts}) == len(attempts)


def test_a_cell_that_never_fills_uses_up_its_attempts_and_no_more():
    attempts = list(write_premises(CONFIG, scripted(["Two dogs are running."])))
    counts = Counter(attempt.outcome for attempt in attempts)
    assert counts == {PremiseOutcome.OK: 1, PremiseOutcome.DUPLICATE: len(attempts) - 1}
    asked = Counter(attempt.asked for attempt in attempts)
    most = CONFIG.per_cell * CONFIG.tries
    assert set(asked.values()) <= {most, most - 1} and len(asked) == len(cells(CONFIG))


def test_a_run_in_two_parts_asks_what_a_whole_one_would():
    llm, first = scripted(sentences(300)), []
    for attempt in write_premises(CONFIG, llm, should_stop=lambda: len(first) >= 7):
        first.append(attempt)
    rest = list(write_premises(CONFIG, llm, known=first))
    both = [*first, *rest]
    assert first and rest
    assert len({(attempt.asked, attempt.number) for attempt in both}) == len(both)
    kept = Counter(attempt.cell for attempt in both if attempt.outcome is PremiseOutcome.OK)
    assert kept == dict.fromkeys(cells(CONFIG), 2)


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        ("Two dogs chase a red ball.", "ok"),
        ("Two dogs  chase a red\u00a0ball.", "ok"),
        ("  ", "empty"),
        ("As an AI language model, I cannot write that sentence.", "refused"),
        ("Dogs and dogs and dogs and dogs and dogs and dogs.", "loop"),
        ("two dogs chase a ball", "malformed"),
        ("Two dogs chase a ball: https://dogs.example/.", "malformed"),
        ("Dogs.", "malformed"),
        ("A girl pours flour into a bowl.", "duplicate"),  # an example of the prompt, word by word
        ("Two boys dig a hole in the wet sand.", "near_duplicate"),
    ],
)
def test_each_reply_has_one_outcome(raw, outcome):
    assert CellGrid(ScratchConfig()).add(CELL, 0, raw).outcome == outcome


def test_a_question_must_ask_and_a_cut_reply_is_truncated():
    grid = CellGrid(ScratchConfig())
    question = CELL._replace(genre="question")
    assert grid.add(question, 0, "Dogs bark at night.").outcome is PremiseOutcome.MALFORMED
    assert grid.add(question, 1, "Why do dogs bark at night?").outcome is PremiseOutcome.OK
    assert grid.add(CELL, 2, "A dog that runs and", cut=True).outcome is PremiseOutcome.TRUNCATED
    assert grid.add(CELL, 3, "", failed=True).outcome is PremiseOutcome.FAILED


def test_the_built_in_words_are_sound():
    assert len(set(TOPICS)) == len(TOPICS) >= 40
    assert len(cells(ScratchConfig())) == len(TOPICS) * len(GENRES) * len(Length)
    for genre in GENRES:
        assert {Length.of(text) for _, text in genre.examples} >= {Length.SHORT, Length.LONG}, genre.name
        assert all("\n" not in text for _, text in genre.examples)


def test_chosen_lengths_alone_are_filled_and_a_sentence_of_another_length_says_so():
    config = replace(CONFIG, lengths=("short", "long"))
    attempts = list(write_premises(config, scripted(sentences(300))))
    kept = Counter(attempt.cell for attempt in attempts if attempt.outcome is PremiseOutcome.OK)
    assert kept == dict.fromkeys(cells(config), 2) and len(cells(config)) == 2 * 2 * 2
    others = [attempt for attempt in attempts if attempt.outcome is PremiseOutcome.OTHER_LENGTH]
    assert others and {attempt.length for attempt in others} == {Length.MEDIUM}
    with pytest.raises(InputError, match=r"'tiny'.*medium"):
        cells(replace(CONFIG, lengths=("tiny",)))


def test_of_a_reply_of_several_lines_the_first_counts():
    filed = CellGrid(ScratchConfig()).add(CELL, 0, "\nTwo dogs chase a red ball.\nAbout cats, short: No.")
    assert (filed.text, filed.outcome) == ("Two dogs chase a red ball.", "ok")


def test_an_unknown_genre_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"'poem'.*caption"):
        cells(ScratchConfig(genres=("poem",)))
