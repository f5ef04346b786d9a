"""English for names: articles, plurals, numbers, lists."""

from __future__ import annotations

from collections.abc import Sequence

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

_IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "mouse": "mice", "goose": "geese",
    "foot": "feet", "tooth": "teeth", "ox": "oxen", "leaf": "leaves", "loaf": "loaves", "knife": "knives",
    "wolf": "wolves", "calf": "calves", "shelf": "shelves", "scarf": "scarves", "half": "halves", "die": "dice",
    "potato": "potatoes", "tomato": "tomatoes", "mango": "mangoes", "buffalo": "buffaloes",
    "mosquito": "mosquitoes", "dodo": "dodos", "cactus": "cacti", "t-rex": "t-rexes",
}  # fmt: skip
_UNCHANGED = {"fish", "sheep", "deer", "moose", "bison", "squid", "shrimp", "salmon", "aircraft", "sushi", "dango"}
_SINGULAR_IN_S = ("ss", "us", "is", "compass", "dress", "glass", "cross", "bus", "lens", "gas", "atlas", "rhinoceros")
_PAIRS = {
    "scissors", "jeans", "glasses", "eyeglasses", "sunglasses", "goggles", "trousers", "shorts", "briefs", "socks",
    "shoes", "boots", "gloves", "chopsticks", "skates", "pliers", "tweezers", "binoculars", "lungs", "scales",
}  # fmt: skip
_VOWEL_LETTER_NOT_SOUND = ("uni", "use", "usb", "euro", "ewe", "one", "once", "ukulele", "ufo")
_VOWEL_SOUND_NOT_LETTER = ("hour", "heir", "honest", "honor", "honour", "x-ray")


def article(phrase: str) -> str:
    """``a`` or ``an``, as the first word sounds."""
    word = phrase.lower()
    if word.startswith(_VOWEL_SOUND_NOT_LETTER):
        return "an"
    return "an" if word[:1] in "aeiou" and not word.startswith(_VOWEL_LETTER_NOT_SOUND) else "a"


def is_plural(name: str) -> bool:
    """Whether a name is a plural already, such as ``scissors`` or ``grapes``."""
    head = name.split()[-1].lower()
    return len(head) > 3 and head.endswith("s") and not head.endswith(_SINGULAR_IN_S)


def plural(name: str) -> str:
    """A name for several: ``red apple`` → ``red apples``, ``wolf`` → ``wolves``; a plural stays as it is."""
    *before, head = name.split()
    return " ".join([*before, _plural_word(head)])


def _plural_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCHANGED or is_plural(word):
        return word
    if word.endswith(("man", "woman")) and word not in {"human", "talisman"}:
        return word[:-2] + "en"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def counted(number: int, name: str, attribute: str = "") -> str:
    """``a dog``, ``two small dogs``, ``an orange pair of scissors``; ``number`` is 1 to 12.

    A name that is a plural already is counted in pairs, if it comes in pairs, or else in sets.
    """
    noun = name if number == 1 else plural(name)
    if is_plural(name):
        measure = "pair" if name.split()[-1].lower() in _PAIRS else "set"
        noun = f"{measure if number == 1 else measure + 's'} of {name}"
    phrase = f"{attribute} {noun}".strip()
    return f"{article(phrase)} {phrase}" if number == 1 else f"{NUMBERS[number]} {phrase}"


def be(number: int) -> str:
    """``is`` or ``are``."""
    return "is" if number == 1 else "are"


def joined(phrases: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
