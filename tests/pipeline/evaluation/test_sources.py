"""Sources of the public subsets: by name, whatever the case, and none where the name says nothing."""

import pytest

from pipeline.evaluation.sts import source_of


@pytest.mark.parametrize(
    ("subset", "source"),
    [
        ("MSRpar", "news"),
        ("headlines", "news"),
        ("main-captions/MSRvid", "captions"),
        ("tweet-news", "tweets"),
        ("OnWN", "definitions"),
        ("ENTAILMENT", ""),
        ("", ""),
    ],
)
def test_source_by_name(subset, source):
    assert source_of(subset) == source
