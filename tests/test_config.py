"""Configurations: every shipped one is read; mistakes are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import pytest
import yaml

from uniperceiver.config import (
    ConfigError,
    ImageSizeConfig,
    ModelConfig,
    MoEConfig,
    OptimizerConfig,
    PlainTextConfig,
    ProposalConfig,
    ProposalLossConfig,
    ScenesConfig,
    StreamConfig,
    TaskConfig,
    TaskKind,
    TrainConfig,
    UnifiedDecoderConfig,
    from_data,
    is_checkpoint_folder,
    load_config,
    load_train_config,
    read_yaml,
    shipped,
    to_data,
)
from uniperceiver.data.datasets import open_dataset
from uniperceiver.demo import demo_config

OF_TEXTS = {"language_modeling", "text_classification"}
"""Tasks that scenes have no data of their own for."""
PLACES = ("cifar", "imagenet", "coco", "flickr", "cutouts", "data", "debian", "val", "images")
PATHS = dict.fromkeys(PLACES, "somewhere") | {
    "model": "nano",
    "task": "rte",
    "stage1": "somewhere",
    "train": "train.tsv",
    "dev": "dev.tsv",
    "steps": "2000",
    "rate": "1.0e-5",
    "names": "80",
    "held_out": "20",
    "with_relatives": "true",
    "recipe": "v1_coco_captioning",
    "warmup": "100",
    "target_prompts": "false",
}


@pytest.mark.parametrize("name", shipped("model"))
def test_every_preset_is_read_and_written_back(name: str) -> None:
    config = load_config(name)
    assert from_data(ModelConfig, to_data(config), name) == config


@pytest.mark.parametrize("name", shipped("train"))
def test_every_training_configuration_is_read_and_written_back(name: str) -> None:
    config = load_train_config(name, defaults=PATHS)
    assert from_data(TrainConfig, yaml.safe_load(yaml.safe_dump(to_data(config))), name) == config


def test_presets_have_the_values_of_table_7() -> None:
    for name, queries in (("resnet50", 300), ("swin_base", 900), ("swin_large", 900)):
        proposals = load_config(name).image.proposals
        assert proposals is not None
        assert (proposals.encoder_layers, proposals.decoder_layers, proposals.feedforward) == (6, 6, 2048)
        assert (proposals.width, proposals.heads, proposals.points) == (256, 8, 4)
        assert (proposals.queries, proposals.kept) == (queries, 200)
        assert (proposals.denoising.box_noise, proposals.denoising.label_noise) == (1.0, 0.5)
        assert load_config(name).image.attention_pools == 10
        moe = load_config(name).decoder.moe
        assert moe is not None
        assert (moe.experts, moe.top_k) == (8, 2)


def test_a_place_without_a_path_names_the_option() -> None:
    with pytest.raises(ConfigError, match=r"--path cifar=… --path coco=…"):
        load_train_config("realdata", {"imagenet": "a", "flickr": "b"})


def test_a_value_is_not_read_as_yaml_within_a_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('a: ${data}/x  # a remark\nb: {${data}: ["${data}", ${n}, "${n}", ${none}, "${n}${data}"]}\n')
    for data in ("photos #2", 'a "b" \\c', "a: b", "it's", "{x", "[y", "- z", "ünï 图片"):
        read = read_yaml(str(path), "train", {"data": data, "n": "1.0e-5", "none": "null"})
        assert read == {"a": f"{data}/x", "b": {data: [data, 1e-5, "1.0e-5", None, f"1.0e-5{data}"]}}


def test_unknown_names_list_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nano"):
        read_yaml("nanoo", "model")
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(str(tmp_path / "missing.yaml"))


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("streams: [a\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml is not YAML"):
        load_train_config(str(path))


def test_a_value_that_nothing_asks_for_is_an_error() -> None:
    given = {"cutouts": "shapes", "names": "10", "held_out": "2", "with_relatives": "false"}
    with pytest.raises(ConfigError, match=r"no place \$\{precision\}: it has cutouts,.* extends: \{config: demo\}"):
        load_train_config("demo", given | {"precision": "float32"})
    assert load_train_config("demo", given, {"precision": "float32"}).precision == "auto"
    with pytest.raises(ConfigError, match=r"no place \$\{x\}: it has none"):
        read_yaml("nano", "model", {"x": "1"})


def test_wrong_keys_and_types_are_named_with_their_place() -> None:
    data = to_data(load_config("nano"))
    data["image"]["proposals"]["querries"] = 3
    data["decoder"]["layers"] = "many"
    with pytest.raises(ConfigError) as error:
        from_data(ModelConfig, data, "my.yaml")
    assert "my.yaml" in str(error.value)
    assert "image.proposals.querries" in str(error.value)
    assert "decoder.layers" in str(error.value)


def test_values_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="top_k"):
        MoEConfig(experts=2, top_k=3)
    with pytest.raises(ValueError, match="divisible"):
        UnifiedDecoderConfig(width=100, heads=12)
    with pytest.raises(ValueError, match="divisible"):
        ProposalConfig(width=60)
    with pytest.raises(ValueError, match="less than or equal to 1"):
        UnifiedDecoderConfig(drop_path=(0.0, 1.5))
    with pytest.raises(ValueError, match="oversample"):  # fewer candidates than points to choose from them
        ProposalLossConfig(oversample=0.5)
    with pytest.raises(ValueError, match="mt_adamw normalises"):
        OptimizerConfig(clip_norm=1.0)
    with pytest.raises(ValueError, match="equal_say is for mt_adamw"):
        OptimizerConfig(name="adamw", equal_say="steps")
    with pytest.raises(ConfigError, match="streams is empty"):
        from_data(TrainConfig, {"model": "nano", "streams": {}, "schedule": {"steps": 1}}, "x")


@pytest.mark.parametrize(("view", "kind"), [("motions", "classification"), ("motion_captions", "captioning")])
def test_clips_of_scenes_are_not_mirrored(view: Literal["motions", "motion_captions"], kind: TaskKind) -> None:
    clips = ScenesConfig(view=view, split="train", images=4)
    with pytest.raises(ValueError, match=r"image\.flip mirrors half of the training clips.*flip: false"):
        StreamConfig(TaskConfig(kind), clips, 1, 1.0)
    assert StreamConfig(TaskConfig(kind, ImageSizeConfig(flip=False)), clips, 1, 1.0).dataset == clips


def test_mixed_sampling_needs_plain_adamw() -> None:
    stream = StreamConfig(TaskConfig("masked_language_modeling"), PlainTextConfig("x"), 1, 1.0)
    data = {"model": "nano", "streams": {"language": to_data(stream)}, "schedule": {"steps": 1}, "sampling": "mixed"}
    with pytest.raises(ConfigError, match=r"sampling: mixed needs optimizer\.name: adamw"):
        from_data(TrainConfig, data, "test")
    assert from_data(TrainConfig, data | {"optimizer": {"name": "adamw"}}, "test").sampling == "mixed"


def test_the_demo_has_data_for_every_task() -> None:
    config = demo_config("shapes")
    assert {stream.task.kind for stream in config.streams.values()} == set(get_args(TaskKind)) - OF_TEXTS
    for stream in config.streams.values():
        assert stream.evaluation is not None
        assert len(open_dataset(stream.dataset)) > len(open_dataset(stream.evaluation)) > 0
        if stream.held_out_evaluation is not None:
            assert not set(open_dataset(stream.held_out_evaluation).names) & set(open_dataset(stream.dataset).names)


def test_a_configuration_extends_another(tmp_path: Path) -> None:
    path = tmp_path / "longer.yaml"
    path.write_text(
        "extends: {config: demo, values: {cutouts: shapes, names: '5', held_out: '2', with_relatives: 'false'}}\n"
        "schedule: {minutes: 90}\nstreams: {objects: {dataset: {cutouts: [shapes, openmoji], names: null}}}\n"
    )
    demo, longer = demo_config("shapes"), load_train_config(str(path))
    assert longer.schedule == replace(demo.schedule, minutes=90)
    assert longer.streams["objects"].dataset.cutouts == ("shapes", "openmoji")
    assert longer.streams["objects"].dataset.names is None
    assert longer.streams["objects"].task == demo.streams["objects"].task
    assert longer.streams["pairs"].dataset.held_out == 2
    path.write_text("extends: demo\n")
    with pytest.raises(ConfigError, match="extends of"):
        load_train_config(str(path))
    other = tmp_path / "other.yaml"
    path.write_text(f"extends: {{config: {other}}}\n")
    other.write_text(f"extends: {{config: {path}}}\n")
    with pytest.raises(ConfigError, match=r"other\.yaml extends .*longer\.yaml, which is made from it"):
        load_train_config(str(path))
    path.write_text("seed: 3 $\n")
    with pytest.raises(ConfigError, match=r"longer\.yaml: .* is written \$\$"):
        load_train_config(str(path))


def test_the_packaged_checkpoint_has_the_recipe_of_the_demo() -> None:
    demo, nano = demo_config("shapes"), load_train_config("nano", {"debian": "/"})
    assert (nano.optimizer, nano.proposal_loss, nano.model) == (demo.optimizer, demo.proposal_loss, demo.model)
    assert nano.streams.keys() == demo.streams.keys()
    assert nano.streams["labels"].sampling_weight > demo.streams["labels"].sampling_weight


def test_nano_on_a_gpu_has_nanos_recipe_and_data_with_batches_four_times_as_large() -> None:
    nano, gpu = (load_train_config(name, {"debian": "/"}) for name in ("nano", "nano_gpu"))
    assert (gpu.optimizer, gpu.proposal_loss, gpu.model) == (nano.optimizer, nano.proposal_loss, nano.model)
    for name, stream in nano.streams.items():
        assert gpu.streams[name].batch_size == 4 * stream.batch_size
        assert gpu.streams[name].dataset == stream.dataset
        assert gpu.streams[name].evaluation == stream.evaluation


def test_a_folder_called_like_a_preset_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("nano", "mine"):
        Path(name).mkdir()
    names = ("nano", "./nano", str(tmp_path / "nano"), "mine", "resnet50", "absent")
    assert [is_checkpoint_folder(name) for name in names] == [False, True, True, True, False, False]
