"""Rows of a data set on the Hugging Face Hub, through `datasets`, with one sentence for what goes wrong."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError, UnreachableError
from pipeline.evaluation.hub_tasks import Load, Row

_SPLITS = ("test", "train")
"""The evaluated split is the first of these; a configuration with another single split is taken whole."""


def hub_rows(cache: Path) -> Load:
    """Return the function that loads rows; downloads go to `cache`, and no code of a data set is run."""

    def load(repository: str, configuration: str | None, revision: str) -> Iterable[Row]:
        from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

        with one_sentence(repository):
            known = get_dataset_config_names(repository, revision=revision)
            if configuration is None or (configuration == "default" and "default" not in known):
                configuration = "qrels" if "qrels" in known else known[0]
            splits = get_dataset_split_names(repository, configuration, revision=revision)
            split = next((name for name in _SPLITS if name in splits), splits[0])
            return load_dataset(repository, configuration, revision=revision, split=split, cache_dir=str(cache))

    return load


@contextmanager
def one_sentence(repository: str) -> Iterator[None]:
    """Turn what an absent or broken data set raises into an InputError, no network into an UnreachableError."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except ConnectionError as error:
        raise UnreachableError(
            f"There is no way to the hub from here, so {repository} was not fetched: name a folder with the task."
        ) from error
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"{repository} could not be fetched from the hub ({told}).") from error
