"""Refusals, copies, loops and languages: true cases beside the nearest that are none, in several scripts."""

from collections import Counter

import pytest

from pipeline.generation.outcomes import (
    dice_overlap,
    is_copy,
    is_loop,
    is_near_copy,
    is_other_language,
    is_other_script,
    is_refusal,
    outcome_of,
    refusal_rule,
    scripts,
    word_list,
)
from pipeline.records import Outcome, Side
from workbench.paths import SAMPLE_PREMISES

PREMISE = "A man is riding a horse through the village."


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot paraphrase this.",
        "Sorry, I am unable to rewrite the sentence.",
        "Unfortunately, I could not generate a contradiction.",
        "We cannot provide a paraphrase of that.",
        "I won't do that.",
        "I do not understand the question.",
        "I don't have enough information to go on.",
        "As an AI language model, I have no horse.",
        "I am just an AI and do not ride.",
        "Please provide the sentence that you want rewritten.",
        "Could you please share more of the text?",
        "The given sentence is ambiguous.",
        "Your sentence does not contain a verb.",
        "There is no input sentence.",
        "No text was given.",
        "Lo siento, no puedo parafrasear esa frase.",
        "Como modelo de lenguaje, no monto a caballo.",
        "Désolé, je ne peux pas reformuler cette phrase.",
        "En tant qu’intelligence artificielle, je ne sais pas.",
        "Es tut mir leid, ich kann diesen Satz nicht umformulieren.",
        "Leider kann ich dabei nicht helfen.",
        "Извините, я не могу перефразировать это.",
        "很抱歉，我无法改写这句话。",
        "作为一个人工智能语言模型，我没有马。",
        "申し訳ありませんが、この文を言い換えることはできません。",
    ],
)
def test_refusals_are_found(text):
    assert refusal_rule(text), text
    assert outcome_of(text, PREMISE, Side.POSITIVE) is Outcome.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "I cannot ride a horse.",
        "I'm sorry I am late.",
        "Sorry, I can't come tonight.",
        "Unfortunately, the train had left.",
        "I can help with that.",
        "I do not understand my neighbour.",
        "I don't have enough money.",
        "As an actor he was a language model for others.",
        "I am an airman.",
        "Please give me the salt.",
        "The sentence was ten years in prison.",
        "The given name is Ann.",
        "There is no sense in waiting.",
        "Lo siento, el tren ya salió.",
        "Lo siento, no puedo ir a la fiesta.",
        "Désolé, je ne peux pas venir ce soir.",
        "Leider kann ich heute nicht kommen.",
        "Als Kind ritt er jeden Tag.",
        "Извините, я не могу прийти.",
        "抱歉，我迟到了。",
        "我不能骑马。",
        "申し訳ありませんが、明日は行けません。",
    ],
)
def test_sentences_that_sound_alike_are_no_refusals(text):
    assert refusal_rule(text) == ""


def test_a_premise_that_reads_like_a_refusal_may_be_answered_with_one():
    assert not is_refusal("I am sorry, I can't help with that.", "Sorry, but I cannot assist you.")
    assert outcome_of("I can't help with it.", "I cannot help with this.", Side.POSITIVE) is Outcome.OK


def test_no_sample_premise_falls_under_a_rule():
    lines = SAMPLE_PREMISES.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 300
    assert [line for line in lines if refusal_rule(line) or is_loop(line, "")] == []
    assert [line for line in lines if is_other_language(line, PREMISE)] == []


@pytest.mark.parametrize(
    ("text", "premise", "positive", "hard_negative"),
    [
        ("The man is riding a horse through this village", PREMISE, True, True),
        ("The men rode horses through a village.", PREMISE, False, False),
        ("A man is riding a horse through the old village.", PREMISE, True, False),
        ("A man is not riding a horse through the village.", PREMISE, True, False),
        ("A woman is riding a horse through the village.", PREMISE, False, False),
        ("Someone crosses the village on horseback.", PREMISE, False, False),
        ("The cat chases the dog.", "The dog chases the cat.", True, False),
        ("Kids play.", "The kids play.", True, True),
        ("男人骑着马走过小村庄了。", "男人骑着马走过小村庄。", True, False),
        ("女人在河边读书。", "男人骑着马走过小村庄。", False, False),
        ("Мужчина едет на лошади!", "Мужчина едет на лошади", True, True),
        ("Женщина едет на лошади", "Мужчина едет на лошади", False, False),
    ],
)
def test_near_copies(text, premise, positive, hard_negative):
    assert is_near_copy(text, premise, Side.POSITIVE) is positive
    assert is_near_copy(text, premise, Side.HARD_NEGATIVE) is hard_negative


def test_overlap_is_dice_worked_by_hand():
    assert dice_overlap(["a", "b", "b"], ["b", "b", "c", "d"]) == pytest.approx(2 * 2 / 7)
    assert dice_overlap([], []) == 0
    assert word_list("Don't 東京 go2 – x") == ["don't", "東", "京", "go2", "x"]


def test_a_copy_goes_before_a_near_copy():
    assert is_copy("a man is RIDING a horse through the village", PREMISE)
    assert outcome_of("a man is RIDING a horse through the village", PREMISE, Side.POSITIVE) is Outcome.COPY
    assert outcome_of("The man is riding a horse through the village.", PREMISE, Side.HARD_NEGATIVE) is (
        Outcome.NEAR_COPY
    )


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("no no no no", True),
        ("The man and the man and the man and the man", True),
        ("A man rides. A man rides. A man rides.", True),
        ("hahahahahahahaha", True),
        ("Aaaaaaaah", True),
        ("他他他他他", True),
        ("骑马去骑马去骑马去", True),
        ("очень очень очень очень", True),
        ("no no no", False),
        ("day after day after day", False),
        ("1000000 people and 22222222 cats", False),
        ("haha, he said", False),
        ("He is what he is, and she is what she is.", False),
        ("谢谢谢谢", True),
        ("妈妈骂马吗", False),
    ],
)
def test_loops(text, loops):
    assert is_loop(text, PREMISE) is loops
    assert not is_loop(text, "No no no no, he cried."), "the premise repeats itself too"


def test_a_reply_cut_in_a_loop_is_a_loop():
    assert outcome_of("and then and then and then and then and", PREMISE, Side.POSITIVE, cut=True) is Outcome.LOOP
    assert outcome_of("and then he rode away and", PREMISE, Side.POSITIVE, cut=True) is Outcome.TRUNCATED


@pytest.mark.parametrize(
    ("text", "premise", "other"),
    [
        ("Мужчина едет на лошади.", PREMISE, True),
        ("一个男人在骑马。", PREMISE, True),
        ("Ein Mann reitet auf einem Pferd durch das Dorf.", PREMISE, True),
        ("Un homme traverse le village à cheval ce matin.", PREMISE, True),
        ("A man rides through the village.", "Ein Mann reitet auf einem Pferd durch das Dorf.", True),
        ("Somebody on horseback crosses the village.", PREMISE, False),
        ("The letter π is often met in geometry.", "Pi is a letter that geometry often uses.", False),
        ("He ate tacos al pastor in Oaxaca.", "In Oaxaca he had some tacos.", False),
        ("Paris.", PREMISE, False),
        ("😀", PREMISE, False),
        ("男は馬に乗っている。", "彼は乗馬をする。", False),
        ("彼乗馬", "彼は乗馬をする。", False),
        ("かれはうまにのる", "一个男人在骑马。", True),
        ("رجل يركب حصانا", PREMISE, True),
        ("رجل على ظهر حصان", "رجل يركب حصانا", False),
        ("ＡＢＣ ｄｅｆ", PREMISE, False),
        ("1234", PREMISE, False),
        (PREMISE, "1234", False),
        ("Un hombre monta a caballo por el pueblo.", "El hombre pasa por el pueblo a caballo.", False),
    ],
)
def test_other_languages_and_scripts(text, premise, other):
    assert is_other_language(text, premise) is other


def test_scripts_are_counted_letter_by_letter():
    assert scripts("aб1 ω!Ｚ") == Counter({"LATIN": 2, "CYRILLIC": 1, "GREEK": 1})
    assert not is_other_script("ab бв", "latin"), "half is not more than half"
    assert is_other_script("ab бвг", "latin")
