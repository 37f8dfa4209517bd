"""Replies as chat models write them: the sentence is found, what is around it is left out, nothing else is cut."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from pipeline.generation.clean_up import without_reasoning
from pipeline.generation.outcomes import classify, clean, unlike
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import Outcome, Side, SideResult
from workbench.paths import SAMPLE_CORPUS

S = "A hound is sprinting across the lawn."
PREMISE = "A dog is running through the grass."
DEFAULT = prompt_set("default")

ANNOUNCED = [
    f"Sure! Here is the paraphrased sentence:\n\n{S}",
    f'Sure, here\'s a paraphrase of the sentence: "{S}"',
    f"Here is the rewritten sentence: **{S}**",
    f"Certainly! Below is a paraphrase of the given sentence.\n\n> {S}",
    f"Sure!\n\n{S}",
    f"Sure thing! Here you go:\n{S}",
    f"Of course. Here it is:\n{S}",
    f"Here are three options:\n\n1. {S}\n2. Across the lawn a hound sprints.",
    f"The paraphrased sentence is: {S}",
    f"A paraphrase of the sentence could be:\n{S}",
    f"I would rephrase it as: {S}",
    f"当然！以下是改写后的句子：\n\n{S}",
    f"Claro, aquí tienes la frase:\n\n{S}",
]
REASONED = [
    f"<think>\nOkay, the user wants a paraphrase.\n</think>\n\n{S}",
    f"<think>Okay ...</think> {S}",
    f"<think>\n\n</think>\n\n{S}",
    f"Okay, the user wants it shorter. I close </think> soon.\n</think>\n\n{S}",
    f"<think>They wrote <think> here.</think>{S}",
    f"<thinking>First.\n\nSecond.</thinking>\n\n**Answer:** {S}",
    f"<reasoning>x</reasoning>\n<answer>{S}</answer>",
    f"<thought>\nx\n</thought>{S}",
    f"[THINK]a b[/THINK]{S}",
    f"◁think▷ hm ◁/think▷{S}",
    f"<seed:think>hm</seed:think>{S}",
    f"<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{S}<|END_RESPONSE|>",
    f"<|begin_of_thought|>hm<|end_of_thought|>\n\n<|begin_of_solution|>\n{S}\n<|end_of_solution|>",
    f"<|channel|>analysis<|message|>We need it.<|end|><|start|>assistant<|channel|>final<|message|>{S}<|return|>",
    f"analysisWe need to paraphrase.assistantfinal{S}",
    f"Here is my thought process:\nIt runs.\n\nHere is my response:\n{S}",
]
LABELLED = [
    f"**Paraphrase:** {S}",
    f"**Paraphrase**: {S}",
    f"Paraphrase: {S}",
    f"Paraphrase (formal): {S}",
    f"Paraphrased sentence:\n\n“{S}”",
    f"### Paraphrase\n{S}",
    f"assistant: {S}",
    f"Option 1: {S}\nOption 2: A dog sprints.",
    f"Sentence: {PREMISE}\nSame meaning: {S}",
    f"**Original:** {PREMISE}\n**Paraphrased:** {S}",
    f"* **Paraphrase:** {S}",
    f"**{S}**",
    f"*{S}*",
    f"“{S}”",
    f"- {S}",
]
WRAPPED = [
    f"<|im_start|>assistant\n{S}",
    f"{S}<|im_end|>",
    f"{S}<|im_end|>\n<|im_start|>user\nAnother one",
    f"<|im_start|>user\n{PREMISE}<|im_end|>\n<|im_start|>assistant\n{S}<|im_end|>",
    f"<|start_header_id|>assistant<|end_header_id|>\n\n{S}<|eot_id|>",
    f"<|header_start|>assistant<|header_end|>\n\n{S}<|eot|>",
    f"<start_of_turn>model\n{S}<end_of_turn>",
    f"[INST] {PREMISE} [/INST] {S}</s>",
    f"<s>{S}</s>",
    f"<｜Assistant｜>{S}<｜end▁of▁sentence｜>",
    f"<|assistant|>\n{S}<|endoftext|>",
    f'{{"sentence": "{S}"}}',
    f'```json\n{{"sentence": "{S}"}}\n```',
    f'Here is the JSON:\n{{"sentence": "{S}"}}\nDone.',
    f'{{"original": "{PREMISE}", "paraphrase": "{S}", "explanation": "hound for dog"}}',
    f'{{"result": {{"sentence": "{S}"}}}}',
    f"{{'sentence': '{S}'}}",
    f'{{"sentence": "{S}",}}',
    f'["{S}"]',
    f"```\n{S}\n```",
    f"```{S}```",
    f"Here is a paraphrase:\n```text\n{S}\n```\nIt keeps the meaning.",
    f"\\boxed{{{S}}}",
    f"{S}\n\nThis sentence keeps the meaning of the original.",
    f"\n\n{S}\n\n---\n\n*Note: the tense was kept.*",
]


@pytest.mark.parametrize("raw", [*ANNOUNCED, *REASONED, *LABELLED, *WRAPPED])
def test_the_sentence_is_found_in_what_is_around_it(raw):
    found = classify(raw, PREMISE, Side.POSITIVE, DEFAULT, cut=False, tokens=9)
    assert (found.text, found.outcome, found.raw) == (S, Outcome.OK, raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        *((raw, Outcome.EMPTY) for raw in ("...", "—", "**", "```", "---\n***", '""', "<|im_end|>", "…", "😀")),
        ("<think>\nhm\n</think>\n\n", Outcome.EMPTY),
        *((raw, Outcome.TRUNCATED) for raw in ("<think>Okay so", "[THINK] hm", "<|channel|>analysis<|message|>We")),
        ("Sure! Here is the paraphrased sentence:", Outcome.MALFORMED),
        ("Here is the paraphrased sentence.", Outcome.MALFORMED),
        ("**Paraphrase:**", Outcome.MALFORMED),
        ('{"score": 3}', Outcome.MALFORMED),
        ('{"sentence": "A hound', Outcome.MALFORMED),
        ("```python\nprint(1)\n```", Outcome.MALFORMED),
    ],
)
def test_a_reply_without_a_sentence_says_how_it_ended(raw, expected):
    assert classify(raw, PREMISE, Side.POSITIVE, DEFAULT, cut=False, tokens=9).outcome is expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (f"{S}\n\nThis keeps the mea", Outcome.OK),
        (f"{S}<|im_end|>\n<|im_start|>us", Outcome.OK),
        (f'{{"sentence": "{S}", "why": "because', Outcome.OK),
        ("Sure! Here is the paraphrase:\n\nA hound is", Outcome.TRUNCATED),
        ("Sure! Here is the paraphrase:", Outcome.TRUNCATED),
        ('{"sentence": "A hound is', Outcome.TRUNCATED),
        ("```\nA hound is", Outcome.TRUNCATED),
    ],
)
def test_a_reply_that_was_cut_is_truncated_unless_its_sentence_had_ended(raw, expected):
    assert classify(raw, PREMISE, Side.POSITIVE, DEFAULT, cut=True, tokens=9).outcome is expected


@pytest.mark.parametrize(
    "text",
    [
        "Note: the door is locked.",
        "Sure, he will come tomorrow.",
        "The answer is simple: stay.",
        "The sentence was harsh: ten years.",
        "Here is the answer he gave me: no.",
        "Here are two dogs: one black, one white.",
        "Let me paraphrase Twain: rumours lie.",
        "This is a common statement that is often used to describe a man.",
        "At 10:30 the bus left.",
        "5 * 3 is 15.",
        "The *real* reason is money.",
        "He wrote **kwargs in the function.",
        "The final version was better: it ran.",
        '"Stop," he said, "now"',
        "I think <b>bold</b> is a tag.",
    ],
)
def test_a_sentence_keeps_its_own_colons_signs_and_first_words(text):
    assert clean(text, DEFAULT.positive, PREMISE) == (text, False)


@pytest.mark.parametrize(
    ("text", "premise"),
    [
        ("Answer: nobody knows.", "Answer: no one can tell."),
        ("- I did not say that.", "- That was not what I said."),
        ('"We won."', '"Victory is ours."'),
        ("Sentence: ten years.", "Sentence: a decade."),
        ("Certainly.", "Of course."),
    ],
)
def test_a_label_bullet_or_quote_that_the_premise_has_too_is_kept(text, premise):
    assert clean(text, DEFAULT.positive, premise) == (text, False)


def test_no_reply_of_the_sample_corpus_is_changed():
    rows = pq.read_table(SAMPLE_CORPUS).to_pylist()
    replies = [(side, row[side], row["premise"]) for row in rows for side in Side]
    assert len(replies) > 12_000
    assert [text for side, text, of in replies if clean(f" {text}", DEFAULT.own(side), of) != (text, False)] == []


def test_reasoning_that_the_template_opened_ends_with_its_closing_tag():
    assert without_reasoning("Okay.\n</think>\n\nYes") == ("\n\nYes", False)
    assert without_reasoning("Yes <think>no") == ("Yes ", True)
    assert without_reasoning("I think <thin> ice breaks.") == ("I think <thin> ice breaks.", False)


def test_a_hard_negative_that_says_the_positive_again_is_a_copy():
    positive = SideResult(S, S, Outcome.OK)
    assert unlike(replace(positive, text=S.upper().rstrip(".")), positive).outcome is Outcome.COPY
    assert unlike(SideResult("A hound sleeps.", "", Outcome.OK), positive).outcome is Outcome.OK
    assert unlike(replace(positive, outcome=Outcome.LOOP), positive).outcome is Outcome.LOOP
