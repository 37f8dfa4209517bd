"""The sentences of the behavioural suite: frames and word lists, filled in a fixed order.

Each function yields (sentence, other, third): what third is for depends on the capability's kind, see behaviour.py.
"""

from collections.abc import Iterator

Texts = tuple[str, str, str | None]

ROLES = (
    ("nurse", "doctor", "thanked", "thanked by"),
    ("lawyer", "banker", "accused", "accused by"),
    ("girl", "boy", "chased", "chased by"),
    ("dog", "cat", "bit", "bitten by"),
    ("teacher", "student", "praised", "praised by"),
    ("driver", "cyclist", "followed", "followed by"),
    ("guard", "visitor", "stopped", "stopped by"),
    ("actor", "director", "hired", "hired by"),
    ("king", "general", "feared", "feared by"),
    ("mother", "daughter", "called", "called by"),
    ("goalkeeper", "striker", "injured", "injured by"),
    ("seller", "buyer", "cheated", "cheated by"),
)
PLACES = ("yesterday", "in the street", "after the meeting", "last summer")
# (frame, word, synonym, antonym)
ADJECTIVES = (
    ("The road to the village is {}", "long", "lengthy", "short"),
    ("The soup was {} when it came", "hot", "boiling", "cold"),
    ("She found the exam {}", "difficult", "hard", "easy"),
    ("The room is very {}", "quiet", "silent", "noisy"),
    ("His answer was {}", "correct", "right", "wrong"),
    ("The shop is {} at this hour", "shut", "closed", "open"),
    ("The children were {} all day", "happy", "cheerful", "sad"),
    ("It is a {} house", "big", "large", "small"),
    ("They bought a {} car", "quick", "fast", "slow"),
    ("He is a {} man", "rich", "wealthy", "poor"),
    ("The floor was {}", "dirty", "filthy", "clean"),
    ("The knife is {}", "sharp", "keen", "blunt"),
    ("The film was {}", "boring", "dull", "exciting"),
    ("The plan seems {}", "dangerous", "risky", "safe"),
)
ENDINGS = ("", " this year", ", people say")
STATEMENTS = (
    ("The museum {} open on Sunday", "is", "is not"),
    ("He {} the letter before he left", "signed", "did not sign"),
    ("The bridge {} safe for lorries", "is", "is not"),
    ("She {} coffee in the morning", "drinks", "does not drink"),
    ("The company {} its prices", "raised", "did not raise"),
    ("They {} the winner of the race", "know", "do not know"),
    ("The medicine {} against the fever", "helped", "did not help"),
    ("The keys {} on the kitchen table", "are", "are not"),
    ("My brother {} to the party", "came", "did not come"),
    ("The witness {} the thief", "recognised", "did not recognise"),
)
NEGATION_REWORDED = (
    "On Sunday people can visit the museum",
    "Before leaving he put his name under the letter",
    "Lorries can cross the bridge without danger",
    "Her morning drink is coffee",
    "The prices of the company went up",
    "They can tell who won the race",
    "The fever went down thanks to the medicine",
    "The kitchen table is where the keys lie",
    "At the party my brother turned up",
    "The thief was identified by the witness",
)
AMOUNTS = (
    ("The ticket costs {} euros", "The price of the ticket is {} euros"),
    ("{} people waited at the station", "At the station {} people were waiting"),
    ("The tower is {} metres high", "The height of the tower is {} metres"),
    ("They walked {} kilometres", "Their walk was {} kilometres long"),
    ("The recipe needs {} eggs", "You need {} eggs for the recipe"),
    ("The meeting lasted {} minutes", "The meeting took {} minutes"),
    ("She has read {} books this year", "This year she has read {} books"),
    ("The farm has {} cows", "There are {} cows on the farm"),
)
NUMBERS = (("12", "40"), ("3", "300"), ("15", "50"), ("8", "9"), ("70", "17"))
# (object frame, special word, general word, sibling)
KINDS = (
    ("A {} is sleeping on the carpet", "poodle", "dog", "parrot"),
    ("He put the {} on the plate", "apple", "fruit", "sausage"),
    ("They planted a {} behind the house", "birch", "tree", "rose"),
    ("She plays an old {} in the evening", "violin", "musical instrument", "game"),
    ("A {} was parked at the gate", "lorry", "vehicle", "pram"),
    ("The {} flew over the lake", "sparrow", "bird", "helicopter"),
    ("He repaired the {} with a new tool", "chair", "piece of furniture", "engine"),
    ("We saw a {} in the river", "trout", "fish", "boat"),
    ("She works as a {} in the city", "surgeon", "doctor", "painter"),
    ("The {} hung in the wardrobe", "jacket", "piece of clothing", "mirror"),
)
EVENTS = (
    ("The boy opens the window", "The boy opened the window", "The boy broke the window"),
    ("The train leaves the city", "The train left the city", "The train reaches the city"),
    ("She paints the wall white", "She painted the wall white", "She washes the wall at night"),
    ("The dog barks at the postman", "The dog barked at the postman", "The dog runs from the postman"),
    ("They sell their house", "They sold their house", "They rent a house"),
    ("He writes a letter to his mother", "He wrote a letter to his mother", "He reads a letter from his mother"),
    ("The child drinks the milk", "The child drank the milk", "The child spills the milk"),
    ("We sing in the choir", "We sang in the choir", "We sing under the shower"),
    ("The farmer cuts the grass", "The farmer will cut the grass", "The farmer sells the grass"),
    ("The cook tastes the sauce", "The cook has tasted the sauce", "The cook throws the sauce away"),
)
PLAIN = (
    "The committee accepted the proposal without a vote",
    "A woman in a red coat is reading the newspaper",
    "The harbour was full of fishing boats that morning",
    "Two boys are building a castle on the beach",
    "The engineer explained how the machine works",
    "Our flight was delayed because of the storm",
    "The bakery at the corner sells fresh bread",
    "A man is playing the guitar under a bridge",
    "The library closes early during the holidays",
    "Her sister moved to another country for work",
    "The river rose quickly after three days of rain",
    "Several tourists asked the policeman for directions",
)
PLAIN_REWORDED = (
    "Without voting, the committee agreed to the proposal",
    "A lady wearing a red coat reads a paper",
    "That morning there were many fishing boats in the harbour",
    "On the beach a pair of boys make a sand castle",
    "How the machine works was explained by the engineer",
    "Our plane left late because there was a storm",
    "Fresh bread is sold at the bakery on the corner",
    "Under a bridge a man plays his guitar",
    "During the holidays the library shuts earlier than usual",
    "For a job her sister went to live abroad",
    "Three days of rain made the river rise fast",
    "The policeman was asked the way by several tourists",
)
UNRELATED = (
    "Sugar dissolves faster in warm water",
    "The orchestra rehearses a symphony",
    "Taxes are due at the end of the year",
    "A fox hides in the snow",
    "The satellite sends pictures of the planet",
    "Grandmother knits a pair of gloves",
    "The goalkeeper saved the penalty",
    "Mathematics was never his subject",
    "The volcano has been silent for a century",
    "Please switch off the light in the cellar",
    "The museum bought a portrait by a Dutch master",
    "Onions make the cook cry",
)
NAMES = (
    ("{} signed the contract", "The contract was signed by {}", ("Anna", "Robert")),
    ("{} won the election", "The election was won by {}", ("Miller", "Thompson")),
    ("The company opened an office in {}", "In {} the company has a new office", ("Lisbon", "Warsaw")),
    ("{} beat the visitors at home", "The visitors lost in the stadium of {}", ("Valencia", "Hamburg")),
    ("The storm reached {} at night", "At night {} was hit by the storm", ("Cuba", "Japan")),
    ("{} sued its former director", "The former director was sued by {}", ("Siemens", "Renault")),
    ("We visited {} in the spring", "In the spring we took a trip to {}", ("Vienna", "Naples")),
    ("{} wrote the report", "The author of the report is {}", ("Fatima", "George")),
)
IRRELEVANT = ("By the way, {}", "As far as I know, {}", "{}, as everybody in the office heard")


def synonyms() -> Iterator[Texts]:
    """A word for its synonym; third: the antonym."""
    for frame, word, synonym, antonym in ADJECTIVES:
        for end in ENDINGS:
            yield _end(frame, word, end), _end(frame, synonym, end), _end(frame, antonym, end)


def antonyms() -> Iterator[Texts]:
    """A word for its antonym: the meanings differ."""
    for frame, word, _, antonym in ADJECTIVES:
        for end in ENDINGS:
            yield _end(frame, word, end), _end(frame, antonym, end), None


def negations() -> Iterator[Texts]:
    """A sentence, the same in other words; third: negated."""
    for (frame, plain, negated), reworded in zip(STATEMENTS, NEGATION_REWORDED, strict=True):
        for end in ("", " as planned", ", she told us"):
            yield _end(frame, plain, end), f"{reworded}{end}.", _end(frame, negated, end)


def numbers() -> Iterator[Texts]:
    """The same number in other words; third: the same words with another number."""
    for plain, reworded in AMOUNTS:
        for number, other in NUMBERS:
            yield _end(plain, number), _end(reworded, number), _end(plain, other)


def role_swaps() -> Iterator[Texts]:
    """Passive keeps who does what; third: the same words with the roles swapped."""
    for one, two, verb, passive in ROLES:
        for place in PLACES:
            said = f"The {one} {verb} the {two} {place}."
            yield said, f"The {two} was {passive} the {one} {place}.", f"The {two} {verb} the {one} {place}."


def voices() -> Iterator[Texts]:
    """Active and passive say the same."""
    for one, two, verb, passive in ROLES:
        for place in PLACES[:3]:
            yield f"The {one} {verb} the {two} {place}.", f"The {two} was {passive} the {one} {place}.", None


def hypernyms() -> Iterator[Texts]:
    """A kind for its general word; third: something of another kind."""
    for frame, special, general, sibling in KINDS:
        for end in ENDINGS:
            yield _end(frame, special, end), _end(frame, general, end), _end(frame, sibling, end)


def tenses() -> Iterator[Texts]:
    """Another tense of the same event; third: another event."""
    for said, other_tense, other_event in EVENTS:
        for end in ("", " with a smile", ", I believe", " all the same"):
            yield f"{said}{end}.", f"{other_tense}{end}.", f"{other_event}{end}."


def typos() -> Iterator[Texts]:
    """A paraphrase; third: the sentence with two letters swapped in one word."""
    for said, reworded in _plain_pairs():
        for place in (0, 1, 2):
            yield f"{said}.", f"{reworded}.", f"{with_typo(said, place)}."


def punctuation() -> Iterator[Texts]:
    """A paraphrase; third: the sentence with other marks."""
    for said, reworded in _plain_pairs():
        for changed in (said, f"{said} !", f"{said.lower()}..."):
            yield f"{said}.", f"{reworded}.", changed


def additions() -> Iterator[Texts]:
    """A paraphrase; third: the sentence with words that add nothing."""
    for said, reworded in _plain_pairs():
        for frame in IRRELEVANT:
            added = frame.format(said[0].lower() + said[1:])
            yield f"{said}.", f"{reworded}.", f"{added[0].upper()}{added[1:]}."


def word_orders() -> Iterator[Texts]:
    """A reworded sentence; third: the same words in an order that says nothing."""
    for number, (said, reworded) in enumerate(_plain_pairs()):
        for step in (2, 3, 5):
            words = said.split()
            shuffled = [word for start in range(step) for word in words[(start + number) % step :: step]]
            yield f"{said}.", f"{reworded}.", f"{' '.join(shuffled)}."


def name_swaps() -> Iterator[Texts]:
    """The same name in other words; third: another name."""
    for plain, reworded, (name, other) in NAMES:
        for end in ("", " in March", ", the newspaper writes", " for the second time"):
            yield _end(plain, name, end), _end(reworded, name, end), _end(plain, other, end)


def paraphrases() -> Iterator[Texts]:
    """The same in other words."""
    for said, reworded in _plain_pairs():
        yield f"{said}.", f"{reworded}.", None
        yield f"{reworded}, we heard.", f"{said}, we heard.", None


def unrelated() -> Iterator[Texts]:
    """Nothing in common."""
    for number, said in enumerate(PLAIN):
        for step in (0, 3, 7):
            yield f"{said}.", f"{UNRELATED[(number + step) % len(UNRELATED)]}.", None


def with_typo(text: str, place: int) -> str:
    """Swap two inner letters of the longest, second longest ... word."""
    words = text.split()
    chosen = sorted(range(len(words)), key=lambda i: (-len(words[i]), i))[place]
    word = words[chosen]
    inner = next(i for i in range(1, len(word) - 1) if word[i] != word[i + 1])
    words[chosen] = word[:inner] + word[inner + 1] + word[inner] + word[inner + 2 :]
    return " ".join(words)


def _plain_pairs() -> Iterator[tuple[str, str]]:
    return zip(PLAIN, PLAIN_REWORDED, strict=True)


def _end(frame: str, word: str, end: str = "") -> str:
    filled = frame.format(word)
    return f"{filled[0].upper()}{filled[1:]}{end}."
