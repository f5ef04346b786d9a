from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from uniperceiver.config import ScenesConfig
from uniperceiver.data.scenes.layout import Layout, PlacedObject
from uniperceiver.data.scenes.questions import FAMILIES, questions
from uniperceiver.data.scenes.scene_source import SceneSource
from uniperceiver.data.scenes.words import plural


def family_of(text: str) -> str:
    return max((family for family in FAMILIES if text.startswith(family + " ")), key=len)


def answer_again(text: str, layout: Layout) -> str | None:
    """The answer, worked out in another way; None where the question is not of the form that is known here."""
    counts, objects = layout.counts(), layout.objects
    singular = {plural(name): name for name in counts}
    only = {placed.name: placed for placed in objects}
    if text == "how many objects are there?":
        return str(len(objects))
    if match := re.fullmatch(r"how many (.+) are there\?", text):
        return str(counts[singular[match[1]]])
    if match := re.fullmatch(r"what color is the (.+)\?", text):
        return layout.background if match[1] == "background" else only[match[1]].colour
    if match := re.fullmatch(r"is there an? (?:(red|orange|yellow|green|blue|purple|pink) )?(.+)\?", text):
        found = [p for p in objects if p.name == match[2] and match[1] in (None, p.colour)]
        return "yes" if found else "no"
    sides = {
        "on the left": lambda o: o.x, "on the right": lambda o: -o.x,
        "at the top": lambda o: o.y, "at the bottom": lambda o: -o.y,
    }  # fmt: skip
    if match := re.fullmatch(r"what is ((?:on|at) the \w+)\?", text):
        return min(objects, key=sides[match[1]]).name
    if match := re.fullmatch(r"what is the (largest|smallest) object\?", text):
        return (max if match[1] == "largest" else min)(objects, key=lambda o: o.area).name
    if match := re.fullmatch(r"what is (to the left of|to the right of|above|below) the (.+)\?", text):
        found = [o for o in objects if is_beside(o, match[1], only[match[2]])]
        return found[0].name if len(found) == 1 else "several"
    match = re.fullmatch(r"is the (.+) (to the left of|to the right of|above|below) the (.+)\?", text)
    return ("yes" if is_beside(only[match[1]], match[2], only[match[3]]) else "no") if match else None


def is_beside(a: PlacedObject, side: str, b: PlacedObject) -> bool:
    return {"to the left of": a.x < b.x, "to the right of": a.x > b.x, "above": a.y < b.y, "below": a.y > b.y}[side]


@pytest.fixture(scope="module")
def many() -> SceneSource:
    return SceneSource(ScenesConfig(view="questions", split="train", images=1500, size=224, questions=3))


def test_every_answer_is_right(many: SceneSource) -> None:
    for index in range(400):
        layout = many.layout(index)
        for text, answer in many.questions(index):
            assert answer_again(text, layout) == answer, text


def test_questions_about_a_scene_differ(many: SceneSource) -> None:
    assert all(len({question.text for question in many.questions(index)}) == 3 for index in range(400))


def test_no_constant_answers_a_family_well(many: SceneSource) -> None:
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for index in range(len(many)):
        for text, answer in many.questions(index):
            answers[family_of(text)][answer] += 1
    best = {family: counts.most_common(1)[0][1] / counts.total() for family, counts in answers.items()}
    bounds = {"what": 0.15, "how many": 0.42, "is": 0.56, "what color": 0.2}
    assert best.keys() == bounds.keys()
    assert all(best[family] < bounds[family] for family in bounds), best
    total = sum(counts.total() for counts in answers.values())
    assert all(counts.total() / total > 0.15 for counts in answers.values())


def test_a_scene_that_offers_few_questions_still_has_as_many() -> None:
    shown = PlacedObject(
        0, "owl", 0, None, False, 0.0, 1.0, False, (50.0, 50.0), (0.0, 0.0, 9.0, 9.0), 81.0, (1.0, 1.0, 1.0)
    )
    asked = questions(Layout((shown,), "red", 100, 0), ["owl"], 8, "a")
    assert len(asked) == 8
    assert {question.text for question in asked} == {
        "what color is the background?",
        "how many objects are there?",
        "how many owls are there?",
    }
