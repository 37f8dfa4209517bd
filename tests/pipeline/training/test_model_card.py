"""The card of an encoder: YAML whatever a task is called, the base and its licence, and nobody's folders."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.train_config import TrainConfig
from pipeline.training.model_card import CardFacts, add_scores, model_card, origin

FACTS = {"rows": 3, "data": "snapshot `first`", "fingerprint": "0123", "kept_step": 2, "dev_score": 0.5}
names = st.text(min_size=1, max_size=40).filter(lambda text: text.strip() and "\0" not in text)
ODD = ["yes", "null", "a: b", "- x", "# no", "'\"", "a\n---\nb", "é 中 مرحبا 😀", "{x}", "\\1", "STS|12"]
ODD += ["<!-- scores -->"]


def on_one_line(task):
    return " ".join(task.split())


def card_of(folder, **config):
    folder.mkdir(exist_ok=True)
    facts = CardFacts(TrainConfig(**config), threshold=0.8, **FACTS)
    (folder / "README.md").write_text(model_card(facts), encoding="utf-8")
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", ODD)
def test_any_task_name_comes_back_from_the_metadata(tmp_path, task):
    card_of(tmp_path)
    for score in (0.25, 0.75):  # written twice: the second replaces the first
        add_scores(tmp_path, {task: (score, 10), "STSB-test": (0.5, 20)})
    [first, second] = ModelCard.load(tmp_path / "README.md").data.eval_results
    assert (first.dataset_name, first.metric_value, second.dataset_name) == (on_one_line(task), 0.75, "STSB-test")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| 75.00 | 10 |" in text and "25.00" not in text
    assert "| STSB-test | 50.00 | 20 |" in text and "Method: MultiCSR" in text


@settings(deadline=None, max_examples=40)
@given(task=names)
def test_the_metadata_is_yaml_for_every_name(tmp_path_factory, task):
    folder = tmp_path_factory.mktemp("card")
    card_of(folder)
    add_scores(folder, {task: (0.5, 10)})
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[0])
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == on_one_line(task)
    assert (front["base_model"], front["license"]) == ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0")


def test_base_and_licence_are_those_that_a_folder_names_and_no_folder_is_named(tmp_path):
    base = tmp_path / "secret" / "my-base"
    base.mkdir(parents=True)
    (base / "config.json").write_text(json.dumps({"_name_or_path": "google-bert/bert-base-uncased"}))
    text = card_of(tmp_path / "one", encoder=str(base), guide=str(base))
    assert "secret" not in text and str(tmp_path) not in text and "Starting from `my-base`" in text
    assert ModelCard(text).data.base_model == "google-bert/bert-base-uncased"
    (base / "README.md").write_text("---\nlicense: mit\nbase_model: BAAI/bge-small-en-v1.5\n---\n# x\n")
    assert origin(str(base)) == ("BAAI/bge-small-en-v1.5", "mit")
    for odd in ("---\nlicense: [1]\nbase_model: /etc/passwd\n---\n", "---\n: [\n---\n", "no front"):
        (base / "README.md").write_text(odd)
        (base / "config.json").write_text(json.dumps({"_name_or_path": str(base)}))
        assert origin(str(base)) == (None, None)
    assert origin("BAAI/bge-small-en-v1.5@0123abc") == ("BAAI/bge-small-en-v1.5", None)
