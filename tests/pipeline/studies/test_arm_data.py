"""Arms whose triplets are those of others as well, and arms with mined hard negatives."""

import numpy as np

from pipeline.encoders import load_encoder
from pipeline.exchange import write_triplets
from pipeline.records import Triplet
from pipeline.studies.cache import StudyCache
from pipeline.studies.data import DataSource
from pipeline.studies.spec_file import read_study

ARMS = """
study: more
baseline: one
arms:
  - {name: one, triplets: one.csv}
  - {name: other, triplets: other.csv}
  - {name: both, triplets: one.csv, add: [other]}
  - {name: mined, triplets: one.csv, hard_negatives: mined}
  - {name: mined and written, triplets: one.csv, hard_negatives: both, size: 3}
"""


def test_triplets_of_several_arms_and_mined_hard_negatives(tmp_path):
    one = [
        Triplet("A dog runs.", "An animal is moving.", "The dog sleeps."),
        Triplet("A cat runs.", "A cat is moving.", "The cat sleeps."),
        Triplet("Shares fell.", "The stock market lost.", "Shares rose."),
        Triplet("It rains.", "Rain is falling.", "It is dry."),
    ]
    other = [one[0], Triplet("It snows.", "Snow is falling.", "It is hot.")]
    write_triplets(tmp_path / "one.csv", one)
    write_triplets(tmp_path / "other.csv", other)
    (tmp_path / "more.yaml").write_text(ARMS)
    study = read_study(tmp_path / "more.yaml")
    source = DataSource(study, StudyCache(tmp_path / "cache", tmp_path / "vectors"))
    data = {arm.name: source.of(arm).triplets for arm in study.arms}

    assert data["both"] == [*one, other[1]]
    assert data["mined and written"] == [*one, *data["mined"]]
    guide = load_encoder("all-MiniLM-L6-v2")
    cosine = np.array(
        guide.similarity(guide.encode([t.premise for t in one]), guide.encode([t.positive for t in one]))
    )
    expected = []
    for row, triplet in enumerate(one):
        near_first = np.argsort(-cosine[row])
        allowed = [other for other in near_first if cosine[row, other] < 0.95 * cosine[row, row]]
        expected += [Triplet(triplet.premise, triplet.positive, one[allowed[0]].positive)] if allowed else []
    assert data["mined"] == expected and len(expected) >= 3
