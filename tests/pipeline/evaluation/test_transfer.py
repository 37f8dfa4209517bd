"""Transfer tasks: the reading of SentEval's files, and the protocol against scikit-learn's own cross-validation."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline.evaluation import transfer
from pipeline.evaluation.transfer import LabelledTexts, TransferTask, evaluate_transfer, find_transfer, read_transfer
from pipeline.records import InputError


def write(path, lines, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))


@pytest.fixture
def senteval(tmp_path):
    """The seven tasks in SentEval's layout, a handful of lines each."""
    root = tmp_path / "downstream"
    write(
        root / "MR" / "rt-polarity.pos",
        ["a fine  film , really", "na\u00efve but charming\u0085 and long"],
        "latin-1",
    )
    write(root / "MR" / "rt-polarity.neg", ["dull ."])
    for name, negative, positive in (
        ("CR", "custrev.neg", "custrev.pos"),
        ("MPQA", "mpqa.neg", "mpqa.pos"),
        ("SUBJ", "subj.subjective", "subj.objective"),
    ):
        write(root / name / negative, [f"{name} no"])
        write(root / name / positive, [f"{name} yes", f"{name} certainly"])
    for part in ("train", "dev", "test"):
        write(root / "SST" / "binary" / f"sentiment-{part}", [f"good {part}\t1", f"bad {part}\t0"])
    write(root / "TREC" / "train_5500.label", ["DESC:manner How did it end ?", "NUM:date When : in May ?"])
    write(root / "TREC" / "TREC_10.label", ["HUM:ind Who ?"])
    head = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    write(root / "MRPC" / "msr_paraphrase_train.txt", [head, '1\t7\t8\tHe said "no .\tHe refused .'])
    write(root / "MRPC" / "msr_paraphrase_test.txt", [head, "0\t1\t2\tRain .\tSnow ."])
    return tmp_path


def test_the_seven_tasks_are_found_beside_or_below_and_read(senteval):
    found = find_transfer(senteval)
    assert list(found) == ["MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC"]
    assert find_transfer(senteval / "downstream") == found
    read = {name: read_transfer(name, root) for name, root in found.items()}
    movies = read["MR"].parts["all"]
    assert movies.first == ["dull .", "a fine film , really", "na\u00efve but charming and long"]
    assert movies.label.tolist() == [0, 1, 1]
    assert read["SUBJ"].parts["all"].label.tolist() == [0, 1, 1]
    assert {part: len(texts) for part, texts in read["SST2"].parts.items()} == {"train": 2, "dev": 2, "test": 2}
    assert read["TREC"].parts["train"].first == ["How did it end ?", "When : in May ?"]
    assert [read["TREC"].parts[part].label.tolist() for part in ("train", "test")] == [[1, 5], [3]]
    pairs = read["MRPC"].parts["train"]
    assert (pairs.first, pairs.second, pairs.label.tolist()) == (['He said "no .'], ["He refused ."], [1])
    assert read["MRPC"].is_about_pairs and not read["MR"].is_about_pairs
    assert sorted(read["MRPC"].texts()) == ["He refused .", 'He said "no .', "Rain .", "Snow ."]


def test_a_task_with_a_missing_file_is_not_found(senteval):
    (senteval / "downstream" / "TREC" / "TREC_10.label").unlink()
    assert "TREC" not in find_transfer(senteval)


def test_bad_lines_are_counted_and_too_many_refuse_the_file(senteval):
    path = senteval / "downstream" / "SST" / "binary" / "sentiment-dev"
    write(path, [*(f"good {n}\t1" for n in range(40)), "no class at all"])
    assert read_transfer("SST2", senteval / "downstream").rejected == 1
    write(path, ["good\t1", "no class", "worse\t7"])
    with pytest.raises(InputError, match="sentiment-dev cannot be used: 2 of 3 lines are bad, the first is line 2"):
        read_transfer("SST2", senteval / "downstream")


def test_absent_and_empty_folders_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_transfer(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no transfer task"):
        find_transfer(tmp_path)


def vectors_by_text(texts, dimension, seed):
    drawn = np.random.default_rng(seed).normal(size=(len(texts), dimension)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    table = dict(zip(texts, drawn, strict=True))
    return lambda wanted: np.stack([table[text] for text in wanted])


def labelled(texts, label, second=None):
    return LabelledTexts(list(texts), list(second or [""] * len(texts)), np.array(label, dtype=np.int64))


def test_accuracy_by_folds_equals_scikit_learn_with_the_same_folds():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict

    texts = [f"text {n}" for n in range(150)]
    vectors = vectors_by_text(texts, 6, seed=0)
    features = vectors(texts)
    noise = np.random.default_rng(1).normal(size=150)
    label = (features[:, 0] + 0.3 * features[:, 1] + 0.3 * noise > 0).astype(int)
    result = evaluate_transfer(TransferTask("MR", {"all": labelled(texts, label)}, False, 0), vectors)

    inner = StratifiedKFold(5, shuffle=True, random_state=1111)
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [1.0, 4.0, 16.0, 64.0, 256.0]}, cv=inner)
    outer = StratifiedKFold(10, shuffle=True, random_state=1111)
    with threadpool_limits(1):
        expected = cross_val_predict(search, features, label, cv=outer)
    np.testing.assert_array_equal(result.predicted, expected)
    assert result.score.accuracy == pytest.approx(np.mean(expected == label))
    assert result.score.majority == pytest.approx(max(np.mean(label), 1 - np.mean(label)))
    assert len(result.score.strengths) == 10 and result.score.f1 is None


def test_shuffled_classes_are_not_found():
    """Nothing of a test fold may reach the fit: with classes drawn by lot the accuracy is that of guessing."""
    texts = [f"text {n}" for n in range(400)]
    label = np.random.default_rng(2).permutation([0, 1] * 200)
    result = evaluate_transfer(
        TransferTask("CR", {"all": labelled(texts, label)}, False, 0), vectors_by_text(texts, 5, 3)
    )
    assert 0.42 < result.score.accuracy < 0.58


def test_strength_is_chosen_on_dev_and_pairs_become_difference_and_product():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    texts = [f"t{n}" for n in range(120)]
    vectors = vectors_by_text(texts, 4, seed=4)
    u, v = vectors(texts[:60]), vectors(texts[60:])
    features = np.hstack([np.abs(u - v), u * v])
    label = ((u * v).sum(axis=1) + 0.1 * np.random.default_rng(5).normal(size=60) > 0).astype(int)
    parts = {
        name: labelled(texts[rows], label[rows], texts[60:][rows])
        for name, rows in (("train", slice(0, 30)), ("dev", slice(30, 45)), ("test", slice(45, 60)))
    }
    result = evaluate_transfer(TransferTask("MRPC", parts, True, 0), vectors)
    fits = [LogisticRegression(C=c, max_iter=1000).fit(features[:30], label[:30]) for c in transfer.STRENGTHS]
    best = fits[int(np.argmax([fit.score(features[30:45], label[30:45]) for fit in fits]))]
    np.testing.assert_array_equal(result.predicted, best.predict(features[45:]))
    assert result.score.strengths == (best.C,)
    assert result.score.f1 == pytest.approx(f1_score(label[45:], best.predict(features[45:])))


def test_too_few_examples_of_a_class_are_refused():
    texts = [f"text {n}" for n in range(30)]
    with pytest.raises(InputError, match="at least 10 examples"):
        evaluate_transfer(
            TransferTask("CR", {"all": labelled(texts, [1] * 27 + [0] * 3)}, False, 0), vectors_by_text(texts, 3, 6)
        )
