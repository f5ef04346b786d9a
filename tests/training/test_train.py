"""The training loop: it trains, resumes bit for bit, and says what is wrong."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uniperceiver.checkpoint import CheckpointError, load_checkpoint, load_training_state
from uniperceiver.config import (
    ImageFolderConfig,
    OptimizerConfig,
    Sampling,
    TrainConfig,
    WeightAverageConfig,
    load_train_config,
)
from uniperceiver.data.loading import LoadingProcessError
from uniperceiver.training.batch_record import read_batch
from uniperceiver.training.train import Training, initial, train


@pytest.fixture
def config(train_yaml: Path, data: Path) -> TrainConfig:
    return load_train_config(str(train_yaml), {"root": str(data)})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder).model.state_dict()


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_joint_training_logs_every_step_and_leaves_a_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    folder = train(config, tmp_path / "run")
    log = rows(tmp_path / "run")
    assert [row["step"] for row in log] == list(range(1, 9))
    assert {row["stream"] for row in log} <= set(config.streams)
    assert all(row["loss"] == pytest.approx(sum(row["losses"].values())) for row in log)
    assert all(row["gradient_norm"] > 0 and row["memory_gb"] > 0 for row in log)
    checkpoint = load_checkpoint(folder)
    assert load_training_state(folder).step == 8
    assert checkpoint.training == config
    assert checkpoint.tasks["objects"].texts == ("red car", "blue ball")
    assert checkpoint.tasks["captions"].token_ids


ADAMW = OptimizerConfig(name="adamw", clip_norm=1.0)


@pytest.mark.parametrize(
    ("optimizer", "sampling"), [(OptimizerConfig(), "unmixed"), (ADAMW, "unmixed"), (ADAMW, "mixed")]
)
def test_a_resumed_training_equals_an_uninterrupted_one(
    config: TrainConfig, optimizer: OptimizerConfig, sampling: Sampling, tmp_path: Path
) -> None:
    """Eight steps in one go, and four, a new process' state, four more: the same weights to the last bit."""
    config = replace(config, optimizer=optimizer, sampling=sampling, accumulate=2)
    whole = weights(train(config, tmp_path / "whole"))
    first = Training(config, tmp_path / "parts", initial(config), "cpu")
    first.loss.train()
    for _ in range(4):
        first.take_step()
    first.save()
    torch.manual_seed(99)
    parts = weights(train(config, tmp_path / "parts", resume=True))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_going_on_with_a_finished_training_says_that_nothing_is_left(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = weights(train(config, tmp_path))
    assert "nothing left to train" not in capsys.readouterr().out
    after = weights(train(config, tmp_path, resume=True))
    assert f"nothing left to train: step {config.schedule.steps} is the end" in capsys.readouterr().out
    assert all(torch.equal(before[name], after[name]) for name in before)


def gradients(config: TrainConfig, folder: Path) -> dict[str, torch.Tensor]:
    """What the first step leaves in every parameter that it reaches."""
    training = Training(config, folder, initial(config), "cpu")
    training.loss.eval()  # without noise
    training.take_step()
    return {name: p.grad for name, p in training.model.named_parameters() if p.grad is not None}


def test_a_mixed_step_has_the_gradient_of_equation_7(config: TrainConfig, tmp_path: Path) -> None:
    """Σ s_k ω_k ∇L_k, the terms from trainings of one stream each."""
    rows = {
        "folders": replace(config.streams["folders"], sampling_weight=0.6, scale=2.0),
        "language": replace(config.streams["language"], sampling_weight=0.2),
    }
    config = replace(config, optimizer=OptimizerConfig(name="adamw"))
    mixed = gradients(replace(config, streams=rows, sampling="mixed"), tmp_path)
    folders, language = (
        gradients(replace(config, streams={name: replace(row, scale=1.0)}), tmp_path) for name, row in rows.items()
    )
    assert set(mixed) == set(folders) | set(language)
    for name, gradient in mixed.items():
        expected = 0.75 * 2.0 * folders.get(name, 0.0) + 0.25 * language.get(name, 0.0)
        # entries that cancel keep the rounding of the sums they come from, which is that of the tensor's largest
        rounding = 1e-6 + 1e-5 * float(gradient.abs().max())
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=rounding)


def test_plain_adamw_weighs_the_loss_with_the_scaling_factor(config: TrainConfig, tmp_path: Path) -> None:
    rows = {"folders": config.streams["folders"]}
    config = replace(config, streams=rows, optimizer=OptimizerConfig(name="adamw"))
    once = gradients(config, tmp_path)
    fourfold = gradients(replace(config, streams={"folders": replace(rows["folders"], scale=4.0)}), tmp_path)
    for name, gradient in fourfold.items():  # by a power of two, so that rounding stays the same
        torch.testing.assert_close(gradient, 4 * once[name], rtol=1e-4, atol=1e-6)


def test_an_equal_say_of_steps_is_a_scale_of_the_sampling_ratio(config: TrainConfig, tmp_path: Path) -> None:
    total = sum(row.sampling_weight for row in config.streams.values())
    scaled = {name: replace(row, scale=row.sampling_weight / total) for name, row in config.streams.items()}
    by_hand = weights(train(replace(config, streams=scaled), tmp_path / "by hand"))
    of_steps = replace(config, optimizer=replace(config.optimizer, equal_say="steps"))
    steps = weights(train(of_steps, tmp_path / "steps"))
    of_tasks = weights(train(config, tmp_path / "tasks"))
    assert all(torch.equal(by_hand[name], steps[name]) for name in steps)
    assert any(not torch.equal(of_tasks[name], steps[name]) for name in steps)


def test_loading_processes_change_nothing(config: TrainConfig, tmp_path: Path) -> None:
    alone = weights(train(config, tmp_path / "alone"))
    with_worker = weights(train(replace(config, workers=1), tmp_path / "worker"))
    assert all(torch.equal(alone[name], with_worker[name]) for name in alone)


def test_bfloat16_autocast_trains(config: TrainConfig, tmp_path: Path) -> None:
    train(replace(config, precision="bfloat16"), tmp_path / "run")
    assert all(row["loss"] < 1e4 for row in rows(tmp_path / "run"))


def test_training_ends_by_the_clock(config: TrainConfig, tmp_path: Path) -> None:
    schedule = replace(config.schedule, minutes=0.0001, steps=1000)
    train(replace(config, schedule=schedule), tmp_path / "run")
    assert len(rows(tmp_path / "run")) == 1


def test_an_existing_training_is_never_overwritten(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="--resume"):
        train(config, tmp_path / "run")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        train(config, tmp_path / "run", resume=True)
    with pytest.raises(CheckpointError, match=r"no checkpoint .* to go on from"):
        train(config, tmp_path / "other", resume=True)


def test_a_training_does_not_go_on_with_other_classes(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "run")
    data = config.streams["folders"].dataset
    assert isinstance(data, ImageFolderConfig)
    shutil.copytree(sorted(Path(data.root).iterdir())[0], Path(data.root) / "zebra")
    with pytest.raises(CheckpointError, match=r"begun with \d+ candidates and has \d+ now, for example 'zebra'"):
        train(config, tmp_path / "run", resume=True)


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(config: TrainConfig, tmp_path: Path) -> None:
    training = Training(config, tmp_path / "run", initial(config), "cpu")
    model = training.model
    with torch.no_grad():
        model.g.proj.bias.fill_(float("nan"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(FloatingPointError, match="stream"):
        training.take_step()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def evaluated(config: TrainConfig, **changes: object) -> TrainConfig:
    """One stream, evaluated after every second step."""
    streams = {"folders": config.streams["folders"]}
    given = {"streams": streams, "evaluate_every": 2, "keep_best": "folders/top1"} | changes
    return replace(config, **given)  # type: ignore[arg-type]


def test_the_best_checkpoint_by_a_metric_stays(config: TrainConfig, tmp_path: Path) -> None:
    average = WeightAverageConfig(decay=0.9)
    train(evaluated(config, weight_average=average, keep_last=2), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    values = [line["metrics"]["folders/top1"] for line in lines]
    best = load_training_state(tmp_path / "run" / "best")
    assert best.best is not None
    assert best.best.value == pytest.approx(max(values))
    assert best.step == best.best.step == lines[values.index(max(values))]["step"]
    assert len(list((tmp_path / "run" / "kept").iterdir())) == 2
    averaged, plain = (load_checkpoint(tmp_path / "run" / "best", average=which) for which in (True, False))
    assert not torch.equal(averaged.model.g.proj.weight, plain.model.g.proj.weight)


def test_training_stops_early_and_resuming_does_not_go_on(config: TrainConfig, tmp_path: Path) -> None:
    config = evaluated(config, patience=1, optimizer=OptimizerConfig(learning_rate=1e-12))
    folder = train(config, tmp_path / "run")
    assert load_training_state(folder).step == 4, "nothing is learnt, so the second evaluation brings nothing new"
    train(config, tmp_path / "run", resume=True)
    assert load_training_state(folder).step == 4


def test_evaluation_changes_nothing_in_training(config: TrainConfig, tmp_path: Path) -> None:
    evaluating = weights(train(evaluated(config), tmp_path / "evaluating"))
    silent = weights(train(evaluated(config, evaluate_every=None, keep_best=None), tmp_path / "silent"))
    assert all(torch.equal(evaluating[name], silent[name]) for name in silent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_best": "folders"}, "STREAM/METRIC"),
        ({"keep_best": "nobody/top1"}, "evaluation data"),
        ({"evaluate_every": None}, "evaluate_every"),
        ({"keep_best": None, "patience": 2}, "keep_best"),
    ],
)
def test_settings_that_do_not_go_together(config: TrainConfig, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluated(config, **changes)


def test_an_unknown_metric_is_named_with_those_there_are(config: TrainConfig, tmp_path: Path) -> None:
    """Before the first step."""
    with pytest.raises(ValueError, match="folders/topp1: classification has no metric 'topp1'; there are top1, top5"):
        train(evaluated(config, keep_best="folders/topp1"), tmp_path / "run")
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_a_metric_that_the_data_have_not_is_named_with_those_there_are(config: TrainConfig, tmp_path: Path) -> None:
    given = {"streams": {"pairs": config.streams["pairs"]}, "keep_best": "pairs/video_to_text_r1"}
    with pytest.raises(ValueError, match="no metric 'pairs/video_to_text_r1'; there are pairs/image_to_text_r1"):
        train(evaluated(config, **given), tmp_path / "run")


def test_an_exploding_loss_leaves_the_checkpoint_and_writes_the_batch_aside(
    config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(config, streams={"folders": config.streams["folders"]}, checkpoint_every=2)
    training = Training(config, tmp_path / "run", initial(config), "cpu")
    training.take_step()
    training.save()
    before = (tmp_path / "run" / "checkpoint" / "model.safetensors").read_bytes()
    training.config = replace(config, largest_loss=1e-6)
    with pytest.raises(FloatingPointError, match=r"step 2, stream folders: the loss has exploded.*bad_batches"):
        training.take_step()
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").read_bytes() == before
    (written,) = (tmp_path / "run" / "bad_batches").iterdir()
    tensors, about = read_batch(written)
    assert tensors["images.pixels"].shape[0] == 2
    assert (about["step"], about["stream"]) == (2, "folders")


def test_a_bad_gradient_names_its_parameter_and_writes_the_batch_aside(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(
        config, streams={"folders": config.streams["folders"]}, optimizer=OptimizerConfig(name="adamw", clip_norm=1.0)
    )
    training = Training(config, tmp_path / "run", initial(config), "cpu")
    training.model.g.proj.bias.register_hook(lambda gradient: gradient * float("nan"))
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    with pytest.raises(FloatingPointError, match=r"g\.proj\.bias is not finite.*bad_batches"):
        training.take_step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.model.state_dict().items())


def test_a_dead_loading_process_is_a_clear_error_and_costs_no_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    endless = replace(config.schedule, steps=10**6)
    config = replace(config, workers=1, checkpoint_every=10**6, schedule=endless)
    training = Training(config, tmp_path / "run", initial(config), "cpu")
    training.take_step()
    training.save()
    # From a thread: torch's report interrupts the main one, and that must happen while it trains.
    (child,) = multiprocessing.active_children()
    killer = threading.Timer(0.3, child.kill)
    killer.start()
    with pytest.raises(LoadingProcessError, match="lower `workers`"):
        training.run()
    killer.join()
    assert load_training_state(tmp_path / "run" / "checkpoint").step == 1


def test_an_error_in_a_step_leaves_no_loading_process(config: TrainConfig, tmp_path: Path) -> None:
    """One that went on, as after an out-of-memory error on a GPU, would keep the training from ever ending."""
    training = Training(replace(config, workers=1), tmp_path / "run", initial(config), "cpu")

    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("for a test")

    training.take_step()
    training.loss.register_forward_pre_hook(out_of_memory)
    assert multiprocessing.active_children()
    with pytest.raises(torch.OutOfMemoryError):
        training.run()
    assert not multiprocessing.active_children()
