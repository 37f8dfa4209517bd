"""Replies that talk about the task, or about the one who replies, in place of doing the task.

A small set of rules rather than a list of openings: an inability counts only beside a word of the task, so that
"Sorry, I can't come tonight" stays a sentence. A premise that reads like a refusal may be answered with another one.
"""

import re
from typing import Final

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
