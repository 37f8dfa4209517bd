"""A cross-encoder as judge: tiny random models of both kinds, against transformers' own logits."""

import numpy as np
import pytest
import torch
import transformers

from pipeline import weights
from pipeline.curation.judges import load_judge
from pipeline.records import InputError, WeightsError

PAIRS = [("A dog runs along the beach.", "An animal is outdoors."), ("She reads.", "Nobody here reads a book.")]
NLI = ["contradiction", "entailment", "neutral"]


def saved(folder, labels):
    torch.manual_seed(3)
    config = transformers.BertConfig(
        **{"vocab_size": 30522, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"intermediate_size": 16, "initializer_range": 0.5, "num_labels": len(labels)},
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(weights.minilm_folder(), local_files_only=True).save_pretrained(folder)
    return folder


def logits_of(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        rows = [model(**tokenizer(*pair, return_tensors="pt")).logits[0].double().numpy() for pair in PAIRS]
    return np.stack(rows)


@pytest.mark.parametrize("labels", [["LABEL_0"], NLI, ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"]], ids=len)
def test_raw_values_are_the_grade_or_the_difference_of_nlis_logits(labels, tmp_path):
    folder = saved(tmp_path / "model", labels)
    judge = load_judge(f"cross:{folder}")
    logits, lower = logits_of(folder), [label.lower() for label in labels]
    wanted = logits[:, 0]
    if len(labels) > 1:
        wanted = logits[:, lower.index("entailment")] - logits[:, lower.index("contradiction")]
    np.testing.assert_allclose(judge.scores(PAIRS), wanted, atol=1e-5)
    assert judge.judge_id == f"cross:{folder}" and judge.scores([]).shape == (0,)


def test_what_is_no_judge_says_why(tmp_path):
    with pytest.raises(InputError, match="labels called entailment and contradiction"):
        load_judge(f"cross:{saved(tmp_path / 'topics', ['sports', 'news'])}")
    with pytest.raises(InputError, match="no cross-encoder"):
        load_judge("cross:nowhere")
    with pytest.raises(WeightsError, match="lack classifier"):
        load_judge(f"cross:{weights.minilm_folder()}")
    broken = saved(tmp_path / "broken", NLI) / "model.safetensors"
    broken.write_bytes(broken.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="copy it again"):
        load_judge(f"cross:{broken.parent}")
