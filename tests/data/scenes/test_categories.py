from __future__ import annotations

import pytest

from uniperceiver.data.scenes.categories import SPLITS, are_related, choices_of, choose_categories
from uniperceiver.data.scenes.cutouts import open_cutouts
from uniperceiver.data.scenes.sources import CutoutError

NAMES = ["red apple", "green apple", "dog", "guide dog", "dog face", "tent", "circus tent", "key", "moon", "sock"]


def test_names_are_drawn_by_the_seed_alone() -> None:
    drawn = choose_categories(NAMES, 5, 3, False, 0)
    assert drawn == choose_categories(list(reversed(NAMES)), 5, 3, False, 0)
    assert drawn != choose_categories(NAMES, 5, 3, False, 1)
    assert (len(drawn.training), len(drawn.held_out)) == (5, 3)
    assert not set(drawn.training) & set(drawn.held_out)


def test_all_names_that_are_not_held_out() -> None:
    drawn = choose_categories(NAMES, None, 4, False, 0)
    assert sorted(drawn.training + drawn.held_out) == sorted(NAMES)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("training", [3, 6, None])
def test_held_out_names_have_relatives_to_train_on(seed: int, training: int | None) -> None:
    drawn = choose_categories(NAMES, training, 3, True, seed)
    assert len(drawn.held_out) == 3
    assert training is None or len(drawn.training) == training
    assert not set(drawn.training) & set(drawn.held_out)
    assert all(any(are_related(novel, known) for known in drawn.training) for novel in drawn.held_out)


def test_relatives_end_alike() -> None:
    assert are_related("red apple", "green apple")
    assert are_related("dog", "guide dog")
    assert are_related("dog face", "dog")
    assert not are_related("horse", "horse racing")
    assert not are_related("dog", "dog")


@pytest.mark.parametrize(
    ("training", "held_out", "relatives"), [(9, 2, False), (None, 10, False), (None, 5, True), (1, 3, True)]
)
def test_more_names_than_there_are(training: int | None, held_out: int, relatives: bool) -> None:
    with pytest.raises(CutoutError, match="held-out"):
        choose_categories(NAMES, training, held_out, relatives, 0)


def test_splits_share_no_instance() -> None:
    cutouts = open_cutouts("shapes", 128)
    names = sorted({cutout.name for cutout in cutouts})
    parts = {split: choices_of(cutouts, names, split, seed=3) for split in SPLITS}
    for label, name in enumerate(names):
        indices = [{choice.index for choice in part[label]} for part in parts.values()]
        assert all(indices)
        assert sum(map(len, indices)) == len(set.union(*indices)) == sum(c.name == name for c in cutouts)
        assert {choice.name for part in parts.values() for choice in part[label]} == {name}


def test_of_few_instances_none_is_both_trained_and_tested_on() -> None:
    cutouts = open_cutouts("shapes", 128)
    pair = [cutout for cutout in cutouts if cutout.name == "star"][:2]
    train, val, test = ([c.index for c in choices_of(pair, ["star"], split, 0)[0]] for split in SPLITS)
    assert val == test
    assert sorted(train + val) == [0, 1]
    assert all(len(choices_of(pair[:1], ["star"], split, 0)[0]) == 1 for split in SPLITS)


def test_shared_instances_are_in_every_split() -> None:
    cutouts = open_cutouts("shapes", 128)
    stars = choices_of(cutouts, ["star"], None, 0)[0]
    assert [choice.index for choice in stars] == [i for i, cutout in enumerate(cutouts) if cutout.name == "star"]
