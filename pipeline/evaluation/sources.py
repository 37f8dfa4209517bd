"""Where the sentences of the public STS subsets come from: several subsets, and several tasks, share a source."""

_SOURCES = {
    "captions": "captions images main-captions msrvid",
    "news": "deft-news headlines main-news msrpar",
    "forums": "answers-forums belief deft-forum main-forum main-forums",
    "tweets": "tweet-news tweets",
    "definitions": "fnwn onwn",
    "machine translation": "postediting smt smteuroparl smtnews",
    "student answers": "answers-students",
    "questions": "answer-answer question-question",
    "plagiarism": "plagiarism",
}
_SOURCE_OF = {subset: source for source, subsets in _SOURCES.items() for subset in subsets.split()}


def source_of(subset: str) -> str:
    """Return the source of a subset by its name, "" for one that is not known; `main-news/MSRpar` is news."""
    parts = [part.strip().lower() for part in subset.split("/")]
    return next((_SOURCE_OF[part] for part in parts if part in _SOURCE_OF), "")
