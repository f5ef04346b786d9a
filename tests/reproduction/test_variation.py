"""What a run changes in the baseline."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from uniperceiver.config import ConfigError
from uniperceiver.reproduction.variation import Encoder, Variation, model_of, training_of


def test_names_tell_variations_apart(make_baseline) -> None:
    baseline = make_baseline()
    joint = Variation(baseline.streams)
    variations = [
        joint,
        Variation(baseline.streams[1:]),
        Variation(("pairs",)),
        replace(joint, image_tokens="global"),
        replace(joint, is_conditional=False),
        replace(joint, optimizer="adamw"),
        replace(joint, optimizer="adamw", sampling="mixed"),
        replace(joint, optimizer="adamw", gathers_negatives=False),
        replace(joint, encoder=Encoder("MoCo v2", "IN-1k", "file:moco.safetensors")),
    ]
    names = [variation.name(baseline) for variation in variations]
    assert names[:4] == ["all", "without_captions", "only_pairs", "all-global"]
    assert names[-1] == "all-MoCo_v2_IN_1k"
    assert len(set(names)) == len(names)


def test_model_of_a_variation(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs")
    joint = Variation(baseline.streams)
    assert model_of(baseline, joint) == baseline.model
    assert model_of(baseline, replace(joint, image_tokens="global")).image.proposals is None
    assert not model_of(baseline, replace(joint, image_tokens="regional")).image.global_tokens
    assert model_of(baseline, replace(joint, is_conditional=False)).decoder.moe is None


def test_random_encoders_are_neither_frozen_nor_slow(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs")
    frozen = replace(baseline.model.image.backbone, pretrained="timm", frozen_stages=2)
    baseline = replace(baseline, model=replace(baseline.model, image=replace(baseline.model.image, backbone=frozen)))
    random = Variation(baseline.streams, encoder=Encoder("None", "", None))
    given = Variation(baseline.streams, encoder=Encoder("CLIP", "CLIP data", "file:clip.safetensors"))
    assert model_of(baseline, random).image.backbone == replace(frozen, pretrained=None, frozen_stages=0)
    assert training_of(baseline, random, 0, "m.yaml").optimizer.backbone_scale == 0.7
    assert model_of(baseline, given).image.backbone == replace(frozen, pretrained="file:clip.safetensors")
    assert training_of(baseline, given, 0, "m.yaml").optimizer.backbone_scale == 0.1


def test_rates_make_updates_of_all_optimisers_alike(make_baseline) -> None:
    """α √K for AdamW, α √(K / k) for MT-AdamW with k of the K streams."""
    baseline = make_baseline()
    joint = Variation(baseline.streams)

    def optimizer(variation: Variation):
        return training_of(baseline, variation, 0, "m.yaml").optimizer

    assert optimizer(joint) == baseline.training.optimizer
    single, adamw = optimizer(Variation(("labels",))), optimizer(replace(joint, optimizer="adamw"))
    assert adamw.learning_rate == pytest.approx(1e-3 * math.sqrt(6))
    assert (adamw.name, adamw.clip_norm) == ("adamw", 1.0)
    assert single.learning_rate == pytest.approx(adamw.learning_rate)
    assert (single.name, single.clip_norm) == ("mt_adamw", None)
    assert optimizer(Variation(baseline.streams[1:])).learning_rate == pytest.approx(1e-3 * math.sqrt(6 / 5))


def test_runs_go_by_steps_and_short_ones_warm_up_for_less(make_baseline) -> None:
    baseline = make_baseline(steps=150)
    joint = training_of(baseline, Variation(baseline.streams), 3, "m.yaml")
    assert (joint.schedule.steps, joint.schedule.minutes, joint.schedule.warmup_steps) == (150, None, 10)
    assert (joint.seed, joint.model) == (3, "m.yaml")
    single = training_of(baseline, Variation(("labels",)), 3, "m.yaml")
    assert single.schedule.warmup_steps == single.schedule.steps // 10 < 10
    assert 1 <= single.checkpoint_every <= single.schedule.steps // 4
    assert set(single.streams) == {"labels"}


def test_runs_are_evaluated_at_their_end_alone(make_baseline) -> None:
    """A best checkpoint by the metric of a stream would be refused where the stream is removed."""
    baseline = make_baseline("labels", "pairs")
    chosen = replace(baseline.training, evaluate_every=2, keep_best="labels/top1", patience=1, keep_last=3)
    training = training_of(replace(baseline, training=chosen), Variation(("pairs",)), 0, "m.yaml")
    assert (training.evaluate_every, training.keep_best, training.patience, training.keep_last) == (None, None, None, 1)


def test_processes_share_out_the_batch(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs", processes=2)
    own = Variation(baseline.streams, optimizer="adamw", gathers_negatives=False)
    row = training_of(baseline, own, 0, "m.yaml").streams["pairs"]
    assert row.batch_size == 2
    assert not row.task.gather_negatives


def test_encoders_on_the_command_line() -> None:
    assert Encoder.parse("MoCo v2/IN-1k=file:a=b/c") == Encoder("MoCo v2", "IN-1k", "file:a=b/c")
    for text in ("MoCo v2=file:x", "a/b", "/b=x", "a/b="):
        with pytest.raises(ConfigError, match="METHOD/DATA=SOURCE"):
            Encoder.parse(text)
