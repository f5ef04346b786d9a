from __future__ import annotations

import random
import re

from uniperceiver.data.scenes.layout import Layout, PlacedObject
from uniperceiver.data.scenes.scene_source import SceneSource
from uniperceiver.data.scenes.sentences import CAPTIONS, OPPOSITE, STATEMENTS, captions, relation, statements
from uniperceiver.data.scenes.words import NUMBERS, plural


def placed(name: str, x: float, y: float, side: float = 20.0, colour: str | None = None) -> PlacedObject:
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return PlacedObject(0, name, 0, colour, False, 0.0, 1.0, False, (x, y), box, side**2, (1.0, 1.0, 1.0))


def scene(*objects: PlacedObject, background: str = "blue") -> Layout:
    return Layout(objects, background, 100, 0)


def test_captions_of_a_small_scene() -> None:
    layout = scene(placed("owl", 80, 50, colour="red"), placed("dog", 20, 50), placed("dog", 50, 52))
    assert captions(layout) == (
        "two dogs and an owl on a blue background",
        "a picture of two dogs and a red owl",
        "there are two dogs and a red owl",
        "three objects on a blue background: two dogs and an owl",
        "a dog on the left, a dog in the middle and an owl on the right",
    )


def test_relations_say_sizes_when_they_differ_and_begin_on_the_left() -> None:
    for left, right, said in ((20, 40, ("small", "large")), (40, 20, ("large", "small"))):
        layout = scene(placed("owl", 80, 50, right), placed("dog", 20, 40, left))
        assert captions(layout)[2] == f"a {said[0]} dog to the left of a {said[1]} owl"
    assert captions(scene(placed("owl", 50, 20), placed("dog", 48, 80)))[2] == "a dog below an owl"


def test_relations_need_distance_and_single_objects() -> None:
    near = scene(placed("owl", 50, 50), placed("dog", 55, 52))
    alike = scene(placed("owl", 10, 50), placed("owl", 90, 52))
    assert relation(near, random.Random(0)) is None
    assert relation(alike, random.Random(0)) is None


def test_every_scene_has_all_its_sentences(source: SceneSource) -> None:
    for index in range(len(source)):
        texts = source.texts(index)
        assert len(texts) == CAPTIONS + STATEMENTS
        assert texts[:CAPTIONS] == source.captions(index)
        assert all(text and "  " not in text and text == text.strip() for text in texts)


def test_every_caption_names_every_object(source: SceneSource) -> None:
    for index in range(len(source)):
        names = source.layout(index).counts()
        for caption in source.captions(index):
            assert all(re.search(rf"\b({name}|{plural(name)})\b", caption) for name in names), caption


def test_numbers_in_captions_are_the_counts(source: SceneSource) -> None:
    for index in range(len(source)):
        layout = source.layout(index)
        listed = source.captions(index)[0]
        for name, number in layout.counts().items():
            phrase = rf"\ban? {name}\b" if number == 1 else rf"\b{NUMBERS[number]} {plural(name)}\b"
            assert re.search(phrase, listed), listed


def test_relations_that_are_said_are_true(source: SceneSource) -> None:
    checks = {
        "to the left of": lambda a, b: a.x < b.x,
        "to the right of": lambda a, b: a.x > b.x,
        "above": lambda a, b: a.y < b.y,
        "below": lambda a, b: a.y > b.y,
    }
    said = 0
    for index in range(len(source)):
        objects = {o.name: o for o in source.layout(index).objects}
        match = re.fullmatch(
            r"the (.+) is (.+) the (.+), so the \3 is (.+) the \1\.", source.texts(index)[CAPTIONS + STATEMENTS - 1]
        )
        if match:
            a, side, b, opposite = match.groups()
            assert checks[side](objects[a], objects[b])
            assert opposite == OPPOSITE[side]
            said += 1
    assert said > 20


def test_statements_agree_in_number() -> None:
    jeans = scene(placed("jeans", 20, 50), placed("owl", 80, 50))
    said = {text for key in range(20) for text in statements(jeans, str(key))}
    assert "how many pairs of jeans are there? there is a pair of jeans." in said
    assert "the jeans are to the left of the owl, so the owl is to the right of the jeans." in said
    one = scene(placed("owl", 50, 50))
    assert "an owl is one object." in statements(one, "a")
