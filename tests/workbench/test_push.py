"""Encoders and snapshots pushed to a stand-in hub: what arrives loads, its card is whole, no folder is named."""

import yaml

from pipeline.encoders import load_encoder
from pipeline.exchange import read_triplets
from pipeline.studies.run import tiny_bert
from tests.stand_in_hub import stand_in_hub


def test_an_encoder_and_a_snapshot_arrive_whole_and_name_no_folder(workbench, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("sent0,sent1,hard_neg\n" + "".join(f"a {n},b {n},c {n}\n" for n in range(8)))
    base = tiny_bert(tmp_path / "bases" / "tiny")
    assert workbench("import", rows, "--name", "mine").returncode == 0
    assert workbench("curate", "freeze", "--name", "first").returncode == 0
    train = (
        "train",
        "--snapshot",
        "first",
        "--encoder",
        base,
        "--steps",
        1,
        "--batch-size",
        4,
        "--mask-rule",
        "none",
    )
    trained = workbench(*train, "--json", tmp_path / "run.json")
    assert trained.returncode == 0, trained.stderr
    run = yaml.safe_load((tmp_path / "run.json").read_text())["run_id"]
    files = {}
    with stand_in_hub(files) as (address, asked):
        hub = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_test"}
        pushed = workbench(
            "push", "lab/encoder", "--encoder", run, "--licence", "mit", "--dataset", "lab/rows", **hub
        )
        assert pushed.returncode == 0, pushed.stderr
        data = workbench("push", "lab/rows", "--snapshot", "first", "--licence", "cc-by-4.0", "--public", **hub)
        assert data.returncode == 0, data.stderr
        for wrong in (("lab", "--snapshot", "first"), ("lab/x", "--encoder", "nobody"), ("../x", "--encoder", run)):
            refused = workbench("push", *wrong, **hub)
            assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert [line for line in asked if line.startswith("create")] == [
        "create model lab/encoder private",
        "create dataset lab/rows public",
    ]
    model, dataset = files["models:lab/encoder", "pushed"], files["datasets:lab/rows", "pushed"]
    for content in (model, dataset):
        named = [name for name, body in content.items() if str(tmp_path).encode() in body]
        assert named == []
    front = yaml.safe_load(model["README.md"].decode().split("---\n")[1])
    assert (front["license"], front["datasets"], front["library_name"]) == (
        "mit",
        ["lab/rows"],
        "sentence-transformers",
    )
    front = yaml.safe_load(dataset["README.md"].decode().split("---\n")[1])
    assert (front["license"], front["pretty_name"]) == ("cc-by-4.0", "first")
    for name, content in (("model", model), ("rows", dataset)):
        for path, body in content.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(body)
    assert load_encoder(str(tmp_path / "model")).encode(["a cat"]).shape[0] == 1
    assert len(read_triplets(tmp_path / "rows").triplets) == 8
