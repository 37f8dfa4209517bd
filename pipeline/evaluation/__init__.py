"""STS, retrieval, transfer and behavioural evaluation."""

from pipeline.lazy import offer

__getattr__, __all__ = offer(
    __name__,
    {
        "read_tasks": "sts",
        "evaluate": "benchmark",
        "summary": "benchmark",
        "held_out_accuracy": "benchmark",
    },
)
