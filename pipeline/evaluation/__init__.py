"""STS, retrieval, transfer and behavioural evaluation."""

from pipeline import offered

__getattr__, __all__ = offered(__name__)
