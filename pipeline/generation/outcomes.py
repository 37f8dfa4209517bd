"""From a raw reply to its outcome: cleaned text, and exactly one word for how it ended."""

import re
import unicodedata
from collections import Counter
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, Final
from unicodedata import normalize

from pipeline.generation.clean_up import has_words, sentence_in
from pipeline.generation.prompts import PromptSet, SidePrompt
from pipeline.records import Outcome, Side, SideResult

NEAR_COPY_OVERLAP: Final = 0.9
"""A positive that shares at least this much of its words with the premise (Dice) is a near copy."""
GUIDE_NEAR_COPY: Final = 0.98
"""Guide cosine from which a judged sentence counts as a near copy of its premise."""

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, kana and Han are written without spaces: there each sign counts as a word."""
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['’][^\W{_UNSPACED}]+)*")
_LIGHT: Final = frozenset("a an the this that these those some very really just also".split())
"""English words whose coming and going leaves a sentence what it was."""


def words(text: str) -> str:
    """Return the letters and digits of a text, case folded: what is left when two texts are compared as copies.

    A text of signs alone (an emoji, say) has no letters; then its visible signs are compared instead.
    """
    folded = normalize("NFC", text).casefold()
    return "".join(sign for sign in folded if sign.isalnum()) or "".join(folded.split())


def word_list(text: str) -> list[str]:
    """Return the words of a text, case folded, in order; single signs where a script has no spaces."""
    return _WORD.findall(normalize("NFC", text).casefold())


def is_copy(text: str, premise: str) -> bool:
    """Whether both are equal up to case, punctuation and spaces."""
    return words(text) == words(premise)


def is_near_copy(text: str, premise: str, side: Side) -> bool:
    """Whether a reply says the premise again with almost the same words.

    Of both sides: the same words in the same order up to articles and plural endings. Of a positive also: the two
    bags of words overlap by NEAR_COPY_OVERLAP or more. Not so for a hard negative, where one word makes the sentence.
    """
    own, given = word_list(text), word_list(premise)
    if own and _weighty(own) == _weighty(given):
        return True
    return side is Side.POSITIVE and dice_overlap(own, given) >= NEAR_COPY_OVERLAP


def dice_overlap(one: list[str], other: list[str]) -> float:
    """Return the Dice overlap of two bags of words, in [0, 1]."""
    shared = sum((Counter(one) & Counter(other)).values())
    return 2 * shared / max(1, len(one) + len(other))


def _weighty(found: list[str]) -> list[str]:
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found if word not in _LIGHT]


FOREIGN_LETTERS: Final = 0.5
"""Share of letters in scripts that the premise does not use, from which a reply is in the wrong script."""
LEAST_WORDS: Final = 4
"""The language of shorter texts is not compared: names and single words look like many languages."""
SURE: Final = 0.5
"""Least probability of a text's best language for it to count."""
DOUBT: Final = 0.02
"""A reply whose probability of being in the premise's language is above this is taken to be in it."""
_JAPANESE: Final = frozenset({"HIRAGANA", "KATAKANA"})
_WIDTHS: Final = ("FULLWIDTH", "HALFWIDTH", "MODIFIER", "MATHEMATICAL")


def is_other_language(text: str, premise: str) -> bool:
    """Whether the reply is in another script than its premise, or clearly in another language."""
    return is_other_script(text, premise) or _is_other_language(text, premise)


def is_other_script(text: str, premise: str) -> bool:
    """Whether more than half of the letters belong to scripts that the premise does not use."""
    known, found = scripts(premise), scripts(text)
    if not known or not found:
        return False
    allowed = set(known) | ({"CJK"} if _JAPANESE & set(known) else set())
    foreign = sum(count for script, count in found.items() if script not in allowed)
    return foreign > FOREIGN_LETTERS * found.total()


def scripts(text: str) -> Counter[str]:
    """Count the letters of a text by script, under the words that Unicode's names begin with."""
    return Counter(script for sign in text if sign.isalpha() and (script := _script(sign)))


@lru_cache(maxsize=4096)
def _script(sign: str) -> str:
    parts = unicodedata.name(sign, "").split()
    while parts and parts[0] in _WIDTHS:
        parts = parts[1:]
    return parts[0] if parts else ""


def _is_other_language(text: str, premise: str) -> bool:
    if min(len(word_list(text)), len(word_list(premise))) < LEAST_WORDS:
        return False
    language, sureness = _ranked(premise)[0]
    replied = _ranked(text)
    return sureness >= SURE and replied[0][1] >= SURE and dict(replied).get(language, 0.0) < DOUBT


def _ranked(text: str) -> list[tuple[str, float]]:
    """Languages with their probabilities, the likeliest first."""
    return _identifier().rank(text)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


WORD_REPEATS: Final = 4
"""One word said this often in a row is a loop."""
PHRASE_REPEATS: Final = 3
"""Two or more words said this often in a row are a loop."""
_LETTERS: Final = re.compile(r"([^\W\d_]{1,4}?)\1{5,}", re.IGNORECASE)


def is_loop(text: str, premise: str) -> bool:
    """Whether the reply repeats itself in a row; not where its premise does the same."""
    return repeats_itself(text) and not repeats_itself(premise)


def repeats_itself(text: str) -> bool:
    """Whether a word, a phrase or a group of letters occurs several times in a row."""
    found = word_list(text)
    return bool(_LETTERS.search(text)) or any(
        _times(found, period) >= (WORD_REPEATS if period == 1 else PHRASE_REPEATS)
        for period in range(1, len(found) // PHRASE_REPEATS + 1)
    )


def _times(found: list[str], period: int) -> int:
    """Return how often a phrase of `period` words is said in a row at most."""
    longest = run = 0
    for word, later in zip(found, found[period:], strict=False):
        run = run + 1 if word == later else 0
        longest = max(longest, run)
    return longest // period + 1


_TASK: Final = (
    r"(?:paraphras|rewrit|rephras|reword|contradict|negat|help (?:you )?with|assist|answer (?:that|this|your)|provid|"
    r"generat|creat|complet|compl(?:y|ied)|fulfil|do that|process (?:this|that|your)|continue with|translat)"
)
_NOT_ABLE: Final = (
    r"(?:i|we)(?:'m| am|'re| are)? ?(?:(?:can|could|will|do)(?: ?not|n't)|can't|won't|unable to|not able to|"
    r"not allowed to|must decline to|have to decline to)"
)
_SORRY: Final = (
    r"(?:(?:(?:i(?:'m| am) (?:so |very |really )?)?sorry|apologies|i apologi[sz]e|unfortunately)\W{0,3}(?:but )?)?"
)
_THING: Final = r"(?:sentence|text|premise|input|statement|passage)"

_RULES: Final[tuple[tuple[str, str], ...]] = (
    ("not able to do the task", rf"{_SORRY}{_NOT_ABLE} (?:\w+ ){{0,2}}?{_TASK}"),
    (
        "does not follow the request",
        rf"{_SORRY}i (?:do not|don't) (?:have (?:enough|sufficient) (?:information|context)|"
        rf"understand (?:the|your) (?:{_THING}|question|request|instruction|prompt))",
    ),
    (
        "speaks as a program",
        r"(?:as|i am|i'm) (?:just |only |merely )?an? "
        r"(?:ai\b|artificial intelligence|(?:large )?language model|chatbot)",
    ),
    (
        "asks for the input",
        r"(?:please|could you|can you|kindly)(?: please)? (?:provide|give|share|specify|enter|paste)\b"
        rf".{{0,40}}\b{_THING}",
    ),
    (
        "talks about the input",
        rf"(?:the (?:input|given|provided|original) {_THING}|your {_THING}) "
        r"(?:is|was|does|do|has|seems|appears|contains|can)",
    ),
    (
        "misses the input",
        rf"(?:there is|i see) no (?:input |given |provided )?{_THING}|no {_THING} (?:is|was|has been)",
    ),
    (
        "Spanish",
        r"(?:lo siento\W+(?:pero )?)?no (?:puedo|soy capaz de) (?:\w+ )?"
        r"(?:parafrasear|reescribir|ayudar|generar|cumplir)"
        r"|como (?:modelo de lenguaje|una? ia\b|inteligencia artificial)",
    ),
    (
        "French",
        r"(?:(?:je suis )?désolée?\W+(?:mais )?)?je ne (?:peux|suis) pas (?:\w+ (?:de )?)?"
        r"(?:paraphraser|reformuler|réécrire|aider|générer|répondre à cette|fournir)"
        r"|en tant qu(?:e |['’])(?:ia\b|intelligence artificielle|modèle de langage)",
    ),
    (
        "German",
        r"(?:(?:es tut mir leid|leider|entschuldigung)\W+(?:aber )?)?(?:ich kann|kann ich) (?:\w+ ){0,4}?nicht "
        r"(?:\w+ )?(?:umformulieren|umschreiben|helfen|beantworten|erstellen|wiedergeben)"
        r"|als (?:ki\b|sprachmodell|künstliche intelligenz)",
    ),
    (
        "Russian",
        r"(?:(?:извините|простите|к сожалению)\W+(?:но )?)?я не могу (?:\w+ ){0,3}?"
        r"(?:перефразировать|переписать|помочь|ответить|создать)|как (?:языковая модель|искусственный интеллект)",
    ),
    (
        "Chinese",
        r"(?:(?:很|非常)?(?:抱歉|对不起)\W*)?(?:但)?我?(?:无法|不能)"
        r"(?:为您|帮您|帮助|改写|回答|生成|提供|完成|处理)"
        r"|(?:作为|我是)(?:一个|一名)?(?:人工智能|ai|大?语言模型)",
    ),
    (
        "Japanese",
        r"申し訳(?:ありません|ございません)が?\W*.{0,20}"
        r"(?:言い換え|書き換え|お手伝い|回答|生成|お答え).{0,8}(?:できません|かねます)",
    ),
)
"""Name and pattern; each must fit where the text begins."""
_COMPILED: Final = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _RULES)


def refusal_rule(text: str) -> str:
    """Return the name of the first rule that the text falls under; empty when it is an ordinary sentence."""
    plain = text.replace("’", "'").strip()
    return next((name for name, pattern in _COMPILED if pattern.match(plain)), "")


def is_refusal(text: str, premise: str) -> bool:
    """Whether the reply refuses; not where the premise itself reads like that."""
    return bool(refusal_rule(text)) and not refusal_rule(premise)


def classify(raw: str, premise: str, side: Side, prompts: PromptSet, *, cut: bool, tokens: int) -> SideResult:
    """Turn a raw reply into a SideResult with exactly one outcome.

    cut says that the reply reached the token limit before it ended; what comes after its sentence may be missing. The
    order of the questions is the order of precedence: empty, refused, loop, truncated, malformed, wrong language,
    copy, near copy, ok.
    """
    found = sentence_in(raw, prompts.own(side), premise=premise)
    is_cut = cut and not (found.is_whole or found.is_stopped)
    if found.flaw is not None:
        return SideResult(found.text, raw, Outcome.TRUNCATED if is_cut else found.flaw, tokens)
    return SideResult(found.text, raw, outcome_of(found.text, premise, side, cut=is_cut), tokens)


def outcome_of(text: str, premise: str, side: Side, *, cut: bool = False) -> Outcome:
    """Return the one word for how a cleaned reply ended; each question is asked of every script."""
    if _says_nothing(text, premise):
        return Outcome.EMPTY
    if is_refusal(text, premise):
        return Outcome.REFUSED
    if is_loop(text, premise):
        return Outcome.LOOP
    if cut:
        return Outcome.TRUNCATED
    if is_other_language(text, premise):
        return Outcome.WRONG_LANGUAGE
    if is_copy(text, premise):
        return Outcome.COPY
    return Outcome.NEAR_COPY if is_near_copy(text, premise, side) else Outcome.OK


def unlike(hard_negative: SideResult, positive: SideResult) -> SideResult:
    """Return the hard negative, as a copy where it says the positive again up to case, punctuation and spaces."""
    is_same = hard_negative.outcome is Outcome.OK and is_copy(hard_negative.text, positive.text)
    return replace(hard_negative, outcome=Outcome.COPY) if is_same else hard_negative


def clean(raw: str, prompt: SidePrompt, premise: str = "") -> tuple[str, bool]:
    """Return the sentence in a reply, and whether one of the prompt's stop strings ended it."""
    found = sentence_in(raw, prompt, premise=premise)
    return found.text, found.is_stopped


def _says_nothing(text: str, premise: str) -> bool:
    """Whether a text has no letters or digits; pictures answer a premise of pictures."""
    return not has_words(text) and (
        has_words(premise) or not any(unicodedata.category(sign) == "So" for sign in text)
    )
