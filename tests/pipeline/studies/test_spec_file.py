"""Study files: what they say, and one clear sentence for whatever cannot be used."""

from time import process_time

import pytest

from pipeline.records import InputError
from pipeline.studies.spec_file import read_study

HEAD = "study: s\npremises: p.txt\ntrain: {steps: 10}\n"
ARMS = HEAD + "arms: [{name: a}, {name: b}]\n"


def read(tmp_path, text, **options):
    file = tmp_path / "s.yaml"
    file.write_text(text)
    return read_study(file, **options)


def test_arms_inherit_the_studys_settings_and_override_them(tmp_path):
    study = read(
        tmp_path,
        """
study: s
premises: p.txt
seeds: [3, 5]
baseline: b
generation: {omega: 0}
curation: {judge: "guide:all-MiniLM-L6-v2", alpha: 2}
train: {steps: 7, temperature: 1, mask_rule: none}
evaluation: {sts_dir: sts}
arms:
  - {name: a, generation: {omega: 0.5}, curation: {beta: 4}, train: {mask_rule: phi}}
  - {name: b}
  - {name: 1, triplets: t.csv, curation: true, size: 9}
""",
    )
    first, second, third = study.arms
    assert study.seeds == (3, 5) and study.baseline == "b" and study.steps == 7
    assert first.generation.omega == 0.5 and second.generation.omega == 0
    assert isinstance(second.generation.omega, float), "0 and 0.0 are one setting, so one hash"
    assert (first.curation.rule.alpha, first.curation.rule.beta, second.curation) == (2, 4, None)
    assert (first.train.mask_rule, second.train.mask_rule, first.train.temperature) == ("phi", "none", 1.0)
    assert third.name == "1" and third.generation is None and third.file == tmp_path / "t.csv" and third.size == 9
    assert study.evaluation.sts_dir == tmp_path / "sts" and study.premises == tmp_path / "p.txt"


def test_the_sample_corpus_and_the_sts_folder_can_be_given_from_outside(tmp_path):
    study = read(tmp_path, ARMS.replace("p.txt", "sample"), sample=tmp_path / "x.txt", sts_dir=tmp_path / "other")
    assert study.premises == tmp_path / "x.txt" and study.evaluation.sts_dir == tmp_path / "other"
    assert study.seeds == (0, 1, 2, 3, 4) and study.baseline == "a"


def test_a_sweep_makes_one_arm_per_value(tmp_path):
    text = HEAD + "sweep: {setting: train.mask_threshold, values: [0.7, 0.9], arm: {train: {mask_rule: phi}}}\n"
    study = read(tmp_path, text)
    assert [arm.name for arm in study.arms] == ["mask_threshold 0.7", "mask_threshold 0.9"]
    assert [(arm.train.mask_rule, arm.train.mask_threshold) for arm in study.arms] == [("phi", 0.7), ("phi", 0.9)]
    study = read(tmp_path, HEAD + "arms: [{name: a}]\nsweep: {setting: size, values: [50, 100]}\n")
    assert [(arm.name, arm.size) for arm in study.arms] == [("a", None), ("size 50", 50), ("size 100", 100)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("study: s\narms: [", "no readable YAML"),
        ("study: s\nstudy: t\n", "'study' is written twice"),
        ("- a\n", "must be a block of settings"),
        (ARMS + "colour: red\n", "has no setting colour; it has study, title"),
        (ARMS.replace("study: s", "study: ../s"), "small letters, digits and dashes"),
        (
            ARMS + "seeds: many\n",
            "seeds: must be a number of seeds up to 10,000 or a list",
        ),
        (ARMS + "seeds: 2000000000\n", "or a list of whole numbers, got 2000000000"),
        (ARMS + "seeds: [0, -1]\n", "seeds must be from 0 to 4,294,967,295, got -1"),
        (ARMS + "limit: -1\n", "limit: must be from 1 to 1,000,000,000, got -1"),
        (
            ARMS.replace("name: b", "name: b, train: {mask_rule: phi, mask_threshold: -1}"),
            "must be above 0 and at most 1",
        ),
        (ARMS + "seeds: [1, 1]\n", "names a seed twice"),
        (ARMS + "baseline: c\n", "baseline names 'c', which is no arm"),
        (ARMS.replace("name: b", "name: a"), "two arms called a"),
        (ARMS.replace("name: b", "name: b, train: {steps: 20}"), "equal steps"),
        (ARMS.replace("name: b", "name: b, train: {seed: 2}"), "the study's own seeds are used"),
        (ARMS.replace("name: b", "name: b, train: {step: 2}"), "arm 'b', train: has no setting step; it has encoder"),
        (ARMS.replace("name: b", "name: b, train: {temperature: warm}"), "temperature must be a number, got 'warm'"),
        (ARMS.replace("name: b", "name: b, train: {mask_rule: some}"), "must be one of none, phi"),
        (ARMS.replace("name: b", "name: b, train: {temperature: -1}"), "temperature must be above 0, got -1"),
        (ARMS.replace("name: b", "name: b, curation: true"), "names no judge"),
        (ARMS.replace("name: b", "name: b, triplets: t.csv, snapshot: x"), "both triplets and a snapshot"),
        (ARMS.replace("name: b", "name: b, triplets: t.csv, generation: {omega: 0}"), "generation has no effect"),
        (ARMS.replace("name: b", "name: b, size: 0"), "size: must be from 1 to"),
        (ARMS.replace("name: b", "name: b, add: [c]"), "arm 'b', add, names 'c'"),
        (ARMS.replace("name: b", "name: b, add: [b]"), "adds b, which adds others itself"),
        (ARMS.replace("name: b", "name: b, hard_negatives: some"), "must be written, mined or both, got 'some'"),
        (ARMS.replace("premises: p.txt\n", ""), "names no premises"),
        (HEAD, "has no arms"),
        (ARMS + "contrasts: [{name: x, plus: [a], minus: [c]}]\n", "contrast x names 'c'"),
        (HEAD + "sweep: {setting: colour, values: [1]}\n", "sweep, setting: must be size or generation."),
    ],
)
def test_what_cannot_be_used_is_one_sentence_that_names_the_place(tmp_path, text, told):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith("s.yaml") and told in message and "\n" not in message


NESTED = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NESTED, "or 20,000 values, aliases written out"),
        ("a: &a [*a, *a]\n", "s.yaml"),
        ("study: " + "[" * 20_000, "more than 30 levels or"),
        ("study: " + "{a: " * 20_000, "more than 30 levels or"),
        (ARMS + f"limit: {'9' * 5000}\n", "no readable YAML"),
        (ARMS + f"limit: {'9' * 4000}\n", "a number of many digits"),
        (ARMS + f"seeds: [{', '.join(map(str, range(20_001)))}]\n", "or 20,000 values"),
        (HEAD + f"sweep: {{setting: size, values: [{', '.join(map(str, range(1, 15_000)))}]}}\n", "makes 14999 arms"),
        (HEAD + "search: {dev: [d], grid: {" + ", ".join(f"train.a{i}: [1, 2, 3]" for i in range(99)) + "}}", "arms"),
        (
            HEAD + f"arms: [{', '.join(f'{{name: a{i}}}' for i in range(200))}]\nseeds: 200\n",
            "200 seeds; a study has",
        ),
        (ARMS + f"title: {'x' * 300_000}\n", "at most 256 KB"),
        (ARMS + "".join(f"{'k' * 20}{i}: 1\n" for i in range(2000)), "and others"),
        (ARMS + f"{'y' * 100_000}: 1\n", "no readable YAML"),
        (ARMS + f"? {'y' * 100_000}\n: 1\n", "has no setting yyy"),
        (ARMS + "limit: 2001-99-99\n", "no readable YAML"),
        (ARMS + "? [a]\n: 1\n", "no readable YAML"),
        (ARMS + "limit: !!python/object/apply:os.system [ls]\n", "no readable YAML"),
    ],
)
def test_a_file_made_to_be_large_is_refused_at_once(tmp_path, text, told):
    start = process_time()
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert told in message and len(message) < 700 and "\n" not in message
    assert process_time() - start < 5


def test_aliases_are_read(tmp_path):
    study = read(
        tmp_path, "study: s\npremises: p.txt\ntrain: &t {steps: 10}\narms: [{name: a, train: *t}, {name: b}]\n"
    )
    assert [arm.train.steps for arm in study.arms] == [10, 10]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no study file"):
        read_study(tmp_path / "absent.yaml")
