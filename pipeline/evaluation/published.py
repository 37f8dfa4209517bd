"""Published STS results to show beside a workspace's own: only numbers that were read at the source named here.

Spearman x 100, "all" protocol, columns in the order of STANDARD_TASKS. A row without numbers stands for a result that
could not be verified: it is shown empty rather than filled in from memory.
"""

from dataclasses import dataclass

from pipeline.evaluation.sts import STANDARD_TASKS


@dataclass(frozen=True, slots=True)
class Published:
    """One published encoder."""

    name: str
    base: str
    scores: tuple[float | None, ...]
    """Per standard task; None where the source gives no number."""
    average: float | None
    """As the source gives it, or the mean of the seven rounded scores."""
    source: str

    def by_task(self) -> dict[str, float]:
        """Return the scores there are, by task."""
        return {task: value for task, value in zip(STANDARD_TASKS, self.scores, strict=True) if value is not None}


_NONE: tuple[float | None, ...] = (None,) * len(STANDARD_TASKS)

PUBLISHED: tuple[Published, ...] = (
    Published("MultiCSR", "", _NONE, None, "not verified: enter the numbers from the paper (arXiv 2310.10962)"),
    Published(
        "SimCSE, unsupervised",
        "BERT-base",
        (68.40, 82.41, 74.38, 80.91, 78.56, 76.85, 72.23),
        76.25,
        "princeton-nlp/SimCSE, issue 100",
    ),
    Published(
        "SimCSE, unsupervised",
        "RoBERTa-base",
        (70.16, 81.77, 73.24, 81.36, 80.65, 80.22, 68.56),
        76.57,
        "README of Doragd/Awesome-Sentence-Embedding",
    ),
    Published(
        "SimCSE, supervised",
        "BERT-base",
        (75.30, 84.67, 80.19, 85.40, 80.82, 84.25, 80.39),
        81.57,
        "SimCSE paper, table 5",
    ),
    Published(
        "SimCSE, supervised",
        "RoBERTa-base",
        (76.53, 85.21, 80.95, 86.03, 82.57, 85.83, 80.50),
        82.52,
        "SimCSE paper, table 5",
    ),
    Published(
        "SimCSE, supervised",
        "RoBERTa-large",
        (77.46, 87.27, 82.36, 86.66, 83.93, 86.70, 81.95),
        83.76,
        "SimCSE paper, table 5",
    ),
    Published(
        "SynCSE-partial",
        "RoBERTa-base",
        (76.14, 84.41, 79.23, 84.85, 82.87, 83.95, 81.41),
        81.84,
        "README of SynCSE",
    ),
    Published(
        "RankCSE listMLE",
        "BERT-base",
        (75.66, 86.27, 77.81, 84.74, 81.10, 81.80, 75.13),
        80.36,
        "README of Doragd/Awesome-Sentence-Embedding",
    ),
    Published(
        "RankCSE listNet",
        "RoBERTa-base",
        (72.88, 84.50, 76.46, 84.67, 83.00, 83.24, 71.67),
        79.49,
        "README of Doragd/Awesome-Sentence-Embedding",
    ),
    Published(
        "DenoSent, released checkpoint",
        "BERT-base",
        (75.48, 83.82, 77.54, 84.76, 80.16, 81.20, 73.97),
        79.56,
        "README of DenoSent",
    ),
)
