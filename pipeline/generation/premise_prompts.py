"""What premises from scratch are about: topics, genres and lengths, and the examples that show an LLM each genre.

All wording is our own. A genre's heading and examples are shared by all its cells; the last line names topic and
length, and the reply follows it up to the line break.
"""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.generation.prompts import FewShot


class Length(StrEnum):
    """Length of a premise in words."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"

    @classmethod
    def of(cls, text: str) -> "Length":
        """Return the class of a text: up to 7 words, 8 to 12, more."""
        words = len(text.split())
        return cls.SHORT if words <= SHORTEST_MEDIUM - 1 else cls.MEDIUM if words < SHORTEST_LONG else cls.LONG


SHORTEST_MEDIUM, SHORTEST_LONG = 8, 13
"""Words from which a premise is of medium length, and long."""


@dataclass(frozen=True, slots=True)
class Genre:
    """A kind of sentence: its heading and examples of (topic, sentence), of which the length follows."""

    name: str
    heading: str
    examples: tuple[tuple[str, str], ...]

    @property
    def few_shot(self) -> FewShot:
        """The parts of the prompt, which `question` completes; all cells of the genre share them."""
        examples = tuple((self.question(topic, Length.of(text)), text) for topic, text in self.examples)
        return FewShot(self.heading, examples, after=":")

    def question(self, topic: str, length: Length) -> str:
        """Return the words that ask for the premise of one cell."""
        return f"About {topic}, {length}"


GENRES: tuple[Genre, ...] = (
    Genre(
        "caption",
        "Each line describes what can be seen in a photo.",
        (
            ("a beach", "Two boys dig a hole in wet sand."),
            ("a market", "An old woman in a straw hat weighs cherries on a small brass scale."),
            (
                "snow",
                "A man pulls three laughing children on a wooden sledge up a white hill while a brown dog runs "
                "ahead.",
            ),
            ("a kitchen", "A girl pours flour into a bowl."),
            ("a workshop", "A carpenter with grey hair leans over a bench and planes a long board."),
        ),
    ),
    Genre(
        "news",
        "Each line is the first sentence of a report in a newspaper.",
        (
            ("a bridge", "The old bridge will close for repairs."),
            ("a flood", "Heavy rain overnight left dozens of cellars in the lower town under water."),
            (
                "an airport",
                "Passengers had to wait up to nine hours on Friday after a fault in the control tower stopped every "
                "flight out of the airport.",
            ),
            ("taxes", "The council voted against a new tax."),
            ("a museum", "A painting stolen from the city museum eleven years ago has turned up in a barn."),
        ),
    ),
    Genre(
        "question",
        "Each line is a question that somebody would like answered.",
        (
            ("the moon", "Why does the moon change its shape?"),
            ("visas", "How many weeks does it usually take until a student visa is granted?"),
            (
                "bread",
                "What could be the reason that my bread comes out of the oven flat and heavy although I follow the "
                "recipe?",
            ),
            ("tides", "Who first explained the tides?"),
            ("roofs", "Which material keeps the rain out of a flat roof for the longest time?"),
        ),
    ),
    Genre(
        "story",
        "Each line tells in one sentence what happens in a story.",
        (
            ("a lighthouse", "A lonely keeper saves his worst enemy."),
            ("an inheritance", "Three sisters must share the house of a father whom none of them could stand."),
            (
                "a robbery",
                "After a robbery goes wrong, a young driver hides among the singers of a village choir and slowly "
                "becomes one of them.",
            ),
            ("chess", "A cheating champion loses to a child."),
            ("an island", "A doctor stranded on an island discovers that its people never grow old."),
        ),
    ),
    Genre(
        "fact",
        "Each line states a fact, as an encyclopaedia would.",
        (
            ("copper", "Copper conducts heat very well."),
            ("owls", "Most owls hunt at night and hear a mouse under a thick layer of snow."),
            (
                "canals",
                "Before the railways came, canals carried most of the coal, grain and timber between the large towns "
                "of the country.",
            ),
            ("salt", "Salt lowers the freezing point of water."),
            ("glaciers", "A glacier is a body of ice that moves slowly downhill under its own weight."),
        ),
    ),
    Genre(
        "opinion",
        "Each line says what somebody thinks of something.",
        (
            ("a novel", "The novel is clever but cold."),
            ("a phone", "The screen is bright, yet the battery hardly lasts until the evening."),
            (
                "a concert",
                "I expected a dull evening, but the young pianist played with so much joy that nobody wanted to go "
                "home afterwards.",
            ),
            ("coffee", "This is the worst coffee in town."),
            ("a hotel", "Our room was spotless and quiet, though breakfast cost far too much."),
        ),
    ),
    Genre(
        "advice",
        "Each line tells somebody how to do something.",
        (
            ("tomatoes", "Water tomatoes early in the morning."),
            ("interviews", "Write down three questions of your own before you go to the interview."),
            (
                "stains",
                "To get a wine stain out of a tablecloth, cover it with salt at once, wait for an hour and then wash "
                "it in cold water.",
            ),
            ("knives", "Never put a good knife in the dishwasher."),
            ("tents", "Put your tent up on high ground so that rain runs away from it."),
        ),
    ),
    Genre(
        "message",
        "Each line is something that one person says to another.",
        (
            ("a bicycle", "I left your bicycle behind the shed."),
            ("dinner", "We are running late, so please start dinner without us if you are hungry."),
            (
                "a parcel",
                "Could you take in a parcel for me on Thursday, because I have to be at the dentist when the driver "
                "usually comes?",
            ),
            ("keys", "You forgot your keys again!"),
            ("the garden", "My neighbour says that the hedge between our gardens has grown too high."),
        ),
    ),
)
"""Kinds of sentences; as many as a context keeps prefixes for."""

TOPICS: tuple[str, ...] = (
    *("dogs", "cats", "birds", "horses", "insects", "farming", "gardening", "forests", "mountains", "rivers"),
    *("the sea", "the weather", "space", "chemistry", "medicine", "hospitals", "football", "swimming", "cycling"),
    *("music", "painting", "the theatre", "films", "books", "school", "children", "family", "weddings", "friendship"),
    *("cooking", "restaurants", "shopping", "clothes", "money", "work", "factories", "trains", "cars", "ships"),
    *("travel", "cities", "villages", "houses", "the police", "courts", "elections", "history", "computers"),
)
"""What the sentences are about."""
