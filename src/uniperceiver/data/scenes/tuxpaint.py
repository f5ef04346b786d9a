"""Cut-outs from Tux Paint's stamps (GPL-2 or later), Debian's package ``tuxpaint-stamps-default``: photographs mostly.

A stamp is a PNG with a text beside it whose first line describes it in English: "A colorful rooster.", "Broccoli! Eat
your broccoli!". The names are what is left of these when praise, sizes and articles are gone: one or two words, things,
plants and animals only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from uniperceiver.data.scenes.png_folder import read_picture
from uniperceiver.data.scenes.sources import CutoutError, NamedPicture

ATTRIBUTION = (
    "Tux Paint stamps, copyright 2002-2022 by Bill Kendrick and others (https://tuxpaint.org). "
    "License: GNU GPL, version 2 or later"
)
MAX_WORDS = 2

_FOLDERS_LEFT_OUT = (
    "symbols", "military", "people", "naturalforces", "space/planets", "town/roadsigns", "town/flags",
)  # fmt: skip
_STAMPS_LEFT_OUT = """
    abalone blacksmith bow cartoon/snail2 city confetti cylinder farm fireworks fireworks2 fishery flower4 flower7
    fort gnu-sitting grave-a grave-b grave-c grave-d grave-e grave-f grave-g grave-h grave-i grave-j graveyard inn
    jailhouse lemon_slice lettuce_bolted magic_stones mine monastery murray-mussel sliced_lime sliced_orange stables
    star tavern tiger_sumatran townhall trainSign university warehouse xanthia lamp santahat
    xmas_tp_bulb bat_left skull halloween/spider party-horn-in party-horn-out
"""
_NAMED = {
    "airplane": "planes/cartoon/plane", "apple": "apple_sierra_beauty", "astronaut": "spacewalk", "avocado": "avocado",
    "bactrian camel": "camel/camel", "bear": "european-bear", "bell pepper": "pepper yellowpepper",
    "binoculars": "binoculars", "blue groper": "bluegroper", "blueberries": "blueberry", "boxcar": "boxcar",
    "broccoli": "broccoli", "bus": "double_decker_bus green_korean_bus", "caboose": "caboose", "camel": "dromedary",
    "candle": "candle", "candy cane": "Candy_cane_photo_1 Candy_cane_photo_2", "capybara": "capybara",
    "car": "beetle sedan", "castle": "fairytale_castle", "cat": "blackcat", "cement truck": "cementMixer",
    "cherimoya": "cherimoya", "cherries": "Cherry_Stella cartoon/cherries",
    "christmas pudding": "Christmas_pudding", "clothespin": "clothespin_new clothespin_old",
    "compost bin": "home_compost_bin", "corn": "corn", "crescent moon": "moon_crescent", "cymbal": "cymbal_crash",
    "dinosaur": "dinosaurSings", "drum": "drum_tomtom_floor", "duck": "drake", "dump truck": "terex",
    "dumper": "dumper", "easter egg": "wrapped_chocolate_easter_egg wrapped_chocolate_easter_egg_2",
    "eiffel tower": "eiffel_tower", "fire engine": "fire_engine firetruck", "fish": "stripedfish",
    "flamingo": "pink_flamingo",
    "flower": "adeenia anemone_red bolsom chuvanna_plastic_poo flower9 pigface red-gazania yellow-flower",
    "football helmet": "football_helmet_front football_helmet_side", "fountain": "fountain",
    "garbage can": "garbagecan wheelie_bin", "garlic": "garlic", "ginger": "ginger", "glass": "glass",
    "gnu": "gnu-stand", "goal posts": "rugby_goal_posts", "grapes": "cartoon/grapes fruit/grapes",
    "green apple": "apple_granny_smith", "guinea fowl": "helmeted_guineafowl",
    "guitar": "guitar2 guitar_classical guitar_electric guitar_electric_bass", "helicopter": "eddieCopter",
    "helmet": "knight_helmet", "hen": "hen", "heron": "heron_greatblue heron_greatblue_flying", "hibiscus": "flower10",
    "holly leaves": "holly_leaves", "honeybee": "bee", "hot pepper": "chilepepper", "hot-air balloon": "balloon360",
    "house": "pinkhome swisshome wooden_cottage", "hoverfly": "hoverfly",
    "inukshuk": "inukshuk-outline inukshuk-photo", "jack-o-lantern": "jackolantern_mean", "kangaroo": "kangaroo",
    "kettle": "kettle", "lady beetle": "ladybug ladybug-2", "lamb": "sheep_lamb", "lavender": "lavender",
    "lemon": "lemon", "lettuce": "lettuce redlettuce", "light bulb": "Lightbulb", "lion": "cartoon/lion",
    "lionfish": "lionfish", "lobster": "lobster", "lunar lander": "apollo_lander", "mallet": "mallet_metal",
    "marker": "pen_dryerase", "menorah": "menorah", "mince pie": "Mince_Pie", "moon": "moon_3qt",
    "mountain goat": "mountaingoat", "mushroom": "cep-1 mushrooms/cep", "orange": "orange_seville",
    "paintbrush": "paintbrush_large", "peacock": "peacock", "peahen": "albino_peahen", "pear": "pear",
    "pen": "highlighter", "penguin": "little-penguin magellanic_penguin tux", "petunia": "whitestar-petunia",
    "pig": "pig_golden pig_golden2", "pizza": "pizza", "pliers": "plyers", "postbox": "uk_post_box",
    "pot": "pasta_pot", "potato": "potato", "pumpkin": "pumpkin_small",
    "rabbit": "bunny bunny-head rabbit-2 rabbit_little", "racing car": "indycar", "red apple": "apple_fuji",
    "rhinoceros": "rhino_black", "roast turkey": "Roast_turkey", "rooster": "rooster",
    "rugby football": "australian_rules_football", "sailboat": "chineseJunk walnutBoat", "satellite": "voyager2",
    "scissors": "scissors_small_closed scissors_small_open", "seagull": "silver-gull", "shirt": "t_shirt",
    "slug": "Brown_slug", "snail": "snail", "spade": "spade", "squash": "pattypan_squash",
    "stethoscope": "stethoscope", "stop sign": "roadsigns/stop", "sword": "sword_in_the_stone", "t-shirt": "t_tshirt",
    "tamarin": "tamarin_emperor", "tangerine": "mandarine", "tank wagon": "tanker", "teddy bear": "edward_bear",
    "tent": "medieval_tent", "thermometer": "mercurythermometer", "thyme": "thyme", "toilet": "toilet",
    "tomato": "tomato", "tow truck": "towTruck", "tower": "tower_round tower_square", "traffic cone": "traffic_cone",
    "tree": "birch holm_oak rambutan tree336", "tricycle": "pink_tricycle", "trophy": "trophy_cup",
    "trousers": "t_pants", "tugboat": "tugboat", "wheel": "7spoke256 wheel_tractor", "wreath": "xmaswreath",
    "wrench": "wrench_adjustable wrench_plumbers",
}  # fmt: skip
"""Names of stamps, by the end of their path, whose description says it otherwise, wordily or with a flourish."""


def tuxpaint_cutouts(root: Path) -> Iterator[NamedPicture]:
    """The stamps below ``root``; several stamps of one name are instances of it.

    Raises:
        CutoutError: no such folder, or no stamp in it that has a description.
    """
    if not root.is_dir():
        raise CutoutError(
            f"no Tux Paint stamps in {root}: install Debian's package tuxpaint-stamps-default, or unpack it and give "
            "tuxpaint:FOLDER"
        )
    found = False
    for path in sorted(root.rglob("*.png")):
        text = path.with_suffix(".txt")
        if text.is_file():
            lines = text.read_text(encoding="utf-8", errors="replace").splitlines()
            inside = path.relative_to(root).with_suffix("").as_posix()
            name = stamp_name(inside, lines[0] if lines else "")
            if name is not None:
                found = True
                yield NamedPicture(name, f"stamp {inside}", read_picture(path))
    if not found:
        raise CutoutError(f"no stamp with a description in {root}: expected PNGs of things, each beside a .txt")


def stamp_name(path: str, description: str) -> str | None:
    """The name of the thing on a stamp; None where it is no thing, several, or called by more than `MAX_WORDS` words.

    Args:
        path: of the stamp without suffix, in the folder of stamps, e.g. ``animals/birds/rooster``.
        description: the first line of its text.
    """
    for name, endings in _NAMED.items():
        if _ends_in(path, endings):
            return name
    if path.startswith(tuple(f"{folder}/" for folder in _FOLDERS_LEFT_OUT)):
        return None
    if _ends_in(path, _STAMPS_LEFT_OUT):
        return None
    name = re.sub(r"^(an?|the) |[.!]$", "", description.strip().lower()).replace("’", "'")
    return name if re.fullmatch(r"[a-z'-]+( [a-z'-]+)?", name) else None


def _ends_in(path: str, endings: str) -> bool:
    """Whether a path ends in one of several, which have blanks between them."""
    return any(f"/{path}".endswith(f"/{ending}") for ending in endings.split())
