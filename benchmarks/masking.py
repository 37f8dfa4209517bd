"""What phi masks where half of a batch's candidates are known false negatives: a table over phi.

Known duplicates are texts of STS-B that people scored as equivalent (4.8 or more of 5), joined into groups of three
or more; known others are texts of another group. Run: python -m benchmarks.masking --sts-dir FOLDER
"""

import argparse
from collections import defaultdict
from pathlib import Path

from pipeline.evaluation.sts import find_tasks, read_task
from pipeline.training.encoders import load_encoder
from pipeline.training.guide import phi_for_share
from pipeline.training.losses import LossSettings
from pipeline.training.masking_table import masking_table

EQUIVALENT = 4.8
PHIS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
SHARES = (0.01, 0.001, 0.0001)
BATCHES = 2_000


def groups_of(sts_dir: Path) -> list[list[str]]:
    """Texts that say the same, joined over pairs that share a text; groups of three and more."""
    leader: dict[str, str] = {}

    def find(text: str) -> str:
        while leader.setdefault(text, text) != text:
            text = leader[text]
        return text

    tasks = find_tasks(sts_dir, for_tuning=True)
    for name in ("STSB-train", "STSB-dev"):
        task = read_task(name, tasks[name])
        for first, second, gold in zip(task.sentence1, task.sentence2, task.gold, strict=True):
            if gold >= EQUIVALENT:
                leader[find(first)] = find(second)
    members: dict[str, list[str]] = defaultdict(list)
    for text in leader:
        members[find(text)].append(text)
    return [texts for texts in members.values() if len(texts) >= 3]


def main() -> None:
    """Print the table for MiniLM and for the static encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sts-dir", type=Path, required=True)
    sts_dir = parser.parse_args().sts_dir
    groups = groups_of(sts_dir)
    dev = read_task("STSB-dev", find_tasks(sts_dir, for_tuning=True)["STSB-dev"])
    any_texts = list(dict.fromkeys(dev.sentence1))[:600]
    print(f"{len(groups)} groups, {sum(map(len, groups))} texts")
    for name in ("all-MiniLM-L6-v2", "static-minilm"):
        guide = load_encoder(name, device="cpu")
        vectors = [guide.encode(texts, normalize_embeddings=True, show_progress_bar=False) for texts in groups]
        unit_ud = guide.encode(any_texts, normalize_embeddings=True, show_progress_bar=False)
        random_phi = {share: phi_for_share(unit_ud, share, seed=0) for share in SHARES}
        thresholds = (*PHIS, *random_phi.values())
        table = masking_table(vectors, LossSettings(), thresholds, batches=BATCHES, seed=0)
        print(f"\n{name}\n| phi | duplicates masked | others masked |\n|---|---:|---:|")
        names = [*map(str, PHIS), *(f"{phi:.2f} ({share:.2%} of random pairs)" for share, phi in random_phi.items())]
        for told, row in zip(names, table, strict=True):
            print(f"| {told} | {row.duplicates:.1%} | {row.others:.2%} |")


if __name__ == "__main__":
    main()
