"""Videos as wholes: what the verbs say of a file is what evaluation says of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import DatasetConfig, FrameSamplingConfig, TaskKind, VideoCaptionsConfig, VideoCsvConfig
from uniperceiver.data import transforms
from uniperceiver.data.datasets import open_dataset, video_files
from uniperceiver.data.images import ImageError
from uniperceiver.data.loading import evaluation_batches
from uniperceiver.data.records import LabelledVideo
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.tasks import build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting

EVEN = FrameSamplingConfig(frames=4)
"""What models of four frames have where nothing else is said."""
OFFICIAL = FrameSamplingConfig(frames=2, clips=4, stride=8, start="first")
COLOURS = {"white": (1, 1, 1), "red": (1, 0, 0), "cyan": (0, 1, 1)}
NOISE = 1e-5
"""What float sums in another order change in a result."""


@pytest.fixture
def videos(write_video: Callable[..., Path], tmp_path: Path) -> Path:
    """Three videos of different lengths, with a class each and a caption each."""
    for number, (name, colour) in enumerate(COLOURS.items()):
        write_video(tmp_path / "videos" / f"{name}.mp4", 5 + 3 * number, colour, rate=30)
    (tmp_path / "classes.csv").write_text("".join(f"{name},{name}\n" for name in COLOURS))
    (tmp_path / "captions.csv").write_text("video,caption\n" + "".join(f"{name},a {name} one\n" for name in COLOURS))
    return tmp_path / "videos"


def paths(videos: Path) -> list[Path]:
    return [videos / f"{name}.mp4" for name in COLOURS]


def evaluated(checkpoint: Checkpoint, name: str, texts: tuple[str, ...], data: DatasetConfig) -> list[Any]:
    """What evaluation predicts of the videos of a data set."""
    stored = checkpoint.tasks[name]
    setting = TaskSetting(stored.config, checkpoint.tokenizer, checkpoint.model.config.pixels)
    task = build_task(setting, CandidateSet.restored(texts, stored.token_ids, checkpoint.tokenizer))
    transform = transforms.test_transform(stored.config.kind, stored.config.image)
    model = checkpoint.model.eval()
    batches = evaluation_batches(open_dataset(data), transform, task.collate, 2)
    return [found for _, batch in batches for found in task.predict(model, batch)]


def trained_on(sampling: FrameSamplingConfig, crops: int, checkpoint: Checkpoint, name: str) -> Checkpoint:
    """The checkpoint as if the task had been trained on videos, and others of its kind on pictures before and after."""
    task = checkpoint.tasks[name]
    image = replace(task.config.image, crops=crops)  # type: ignore[arg-type]
    of_videos = StoredTask(replace(task.config, image=image), task.texts, task.token_ids, sampling)
    return replace(checkpoint, tasks={"pictures": task, **checkpoint.tasks, name: of_videos, "more pictures": task})


@pytest.mark.parametrize(("sampling", "crops"), [(EVEN, 1), (OFFICIAL, 3)], ids=["even", "official"])
def test_classes_are_those_of_evaluation(
    sampling: FrameSamplingConfig, crops: int, v1_checkpoint: Checkpoint, videos: Path
) -> None:
    checkpoint = v1_checkpoint
    if sampling != EVEN:
        checkpoint = trained_on(sampling, crops, checkpoint, "classification")
    predictor = Predictor(checkpoint)
    found = predictor.classify(paths(videos), list(COLOURS))
    data = VideoCsvConfig(str(videos.parent / "classes.csv"), str(videos), sampling=sampling)
    expected = evaluated(checkpoint, "classification", tuple(COLOURS), data)
    for one, other in zip(found, expected, strict=True):
        assert one.names == other.names
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=NOISE)
    assert abs(found[0].probabilities - found[1].probabilities).max() > 10 * NOISE, "videos differ"
    reader = predictor.video_reader("classification")
    assert reader is not None
    assert reader(paths(videos)[0]).shape == (sampling.clips * crops, sampling.frames, 3, 32, 32)
    (still,) = predictor.classify(Image.new("RGB", (32, 16)), list(COLOURS))
    (frames,) = predictor.classify(reader(paths(videos)[0]), list(COLOURS))
    assert frames.probabilities == pytest.approx(found[0].probabilities, abs=NOISE)
    assert abs(still.probabilities - found[0].probabilities).max() > 10 * NOISE


def test_captions_are_those_of_evaluation(v1_checkpoint: Checkpoint, videos: Path) -> None:
    data = VideoCaptionsConfig(str(videos.parent / "captions.csv"), str(videos), sampling=EVEN)
    expected = evaluated(v1_checkpoint, "captioning", (), data)
    found = Predictor(v1_checkpoint).caption(paths(videos))
    assert [caption.text for caption in found] == [caption.text for caption in expected]
    log_probabilities = [caption.log_probability for caption in found]
    assert log_probabilities == pytest.approx([caption.log_probability for caption in expected], abs=NOISE)
    assert len(set(log_probabilities)) == 3


def test_several_views_have_no_caption_as_in_evaluation(v1_checkpoint: Checkpoint, videos: Path) -> None:
    predictor = Predictor(trained_on(OFFICIAL, 1, v1_checkpoint, "captioning"))
    with pytest.raises(ValueError, match="a caption is of one view of a video, got 4"):
        predictor.caption(paths(videos))


@pytest.mark.parametrize(("sampling", "crops"), [(EVEN, 1), (OFFICIAL, 3)], ids=["even", "official"])
def test_embeddings_are_those_of_evaluation(
    sampling: FrameSamplingConfig, crops: int, v1_checkpoint: Checkpoint, videos: Path
) -> None:
    checkpoint = v1_checkpoint
    if sampling != EVEN:
        checkpoint = trained_on(sampling, crops, checkpoint, "retrieval")
    data = VideoCaptionsConfig(str(videos.parent / "captions.csv"), str(videos), sampling=sampling)
    expected = evaluated(checkpoint, "retrieval", (), data)
    predictor = Predictor(checkpoint)
    vectors = predictor.embed_image(paths(videos))
    np.testing.assert_allclose(vectors, [each.image for each in expected], atol=NOISE)
    assert abs(vectors[0] - vectors[1]).max() > 10 * NOISE
    texts = [f"a {name} one" for name in COLOURS]
    cosines = np.stack([match.similarities for match in predictor.match(paths(videos), texts)])
    np.testing.assert_allclose(cosines, vectors @ np.concatenate([each.texts for each in expected]).T, atol=NOISE)


def test_frames_are_cut_as_in_evaluation(v1_checkpoint: Checkpoint, videos: Path) -> None:
    """There all frames of a video at once, here each when it is decoded."""
    reader = Predictor(trained_on(OFFICIAL, 3, v1_checkpoint, "classification")).video_reader("classification")
    assert reader is not None
    path = paths(videos)[1]
    together = reader.transform(LabelledVideo(video_files.read_clips(path, OFFICIAL), "", 0))
    assert isinstance(together, LabelledVideo)
    assert reader(path).equal(together.frames)


def test_videos_and_pictures_together(v1_checkpoint: Checkpoint, videos: Path) -> None:
    picture = Image.effect_noise((40, 30), 60).convert("RGB")
    predictor = Predictor(v1_checkpoint, remembered=0)
    mixed = [paths(videos)[0], picture, paths(videos)[1], np.asarray(picture)]
    together = predictor.embed_image(mixed)
    for one, vector in zip(mixed, together, strict=True):
        np.testing.assert_allclose(predictor.embed_image(one)[0], vector, atol=NOISE)
    np.testing.assert_allclose(together[1], together[3], atol=NOISE)


def test_frames_count_as_pictures_computed_together(
    v1_checkpoint: Checkpoint, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, clips = v1_checkpoint.model.encode_video, []
    monkeypatch.setattr(v1_checkpoint.model, "encode_video", lambda seen: (clips.append(seen.size), encode(seen))[1])
    for most, expected in ((1, [1, 1, 1]), (8, [2, 1])):
        clips.clear()
        Predictor(v1_checkpoint, batch_size=most).caption(paths(videos))
        assert clips == expected
    predictor = Predictor(v1_checkpoint, batch_size=8)
    clips.clear()
    predictor.caption(paths(videos))
    predictor.embed_image(paths(videos))
    assert clips == [2, 1], "the same frames are looked at once"


def test_results_are_drawn_below_the_frames(v1_checkpoint: Checkpoint, videos: Path) -> None:
    predictor = Predictor(v1_checkpoint)
    reader = predictor.video_reader("captioning")
    assert reader is not None
    for given in (paths(videos)[0], reader(paths(videos)[0])):
        (caption,) = predictor.caption(given)
        drawn = np.asarray(caption.draw())
        assert len(drawn) > 64  # two frames of 32 pixels beside two, and the sentence
        brightness = [float(drawn[y, x].mean()) for y in (16, 48) for x in (16, 48)]
        assert brightness == sorted(brightness)
        assert brightness[0] < 20 < 60 < brightness[3] < 100


def test_what_takes_no_videos_says_so(checkpoint: Checkpoint, v1_checkpoint: Checkpoint, videos: Path) -> None:
    path, predictor, of_pictures = paths(videos)[0], Predictor(v1_checkpoint), Predictor(checkpoint)
    asked: list[Callable[[], object]] = [
        lambda: predictor.answer(path, "is it red ?"),
        lambda: predictor.look(path),
        lambda: of_pictures.classify(path),
        lambda: of_pictures.detect(path),
    ]
    for ask in asked:
        with pytest.raises(ImageError, match=r"white\.mp4 is a video: only classify, caption, match and embed_image"):
            ask()
    reader = predictor.video_reader("retrieval")
    assert reader is not None
    with pytest.raises(ImageError, match="a tensor of five dimensions is a video"):
        of_pictures.caption(reader(path))
    with pytest.raises(ImageError, match=r"\(V, T, 3, h, w\) of uint8, got \(1, 4, 3, 32, 32\) of torch.float32"):
        predictor.embed_image(reader(path).float())
    kinds: tuple[TaskKind, ...] = ("detection", "visual_question_answering", "masked_language_modeling")
    assert [predictor.video_reader(kind) for kind in kinds] == [None, None, None]
    assert of_pictures.video_reader("classification") is None


def test_files_that_cannot_be_used_are_named(
    v1_checkpoint: Checkpoint, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(v1_checkpoint)
    (tmp_path / "words.mp4").write_text("no video")
    for name in ("words.mp4", "gone.mp4"):
        with pytest.raises(ImageError, match=rf"cannot read the video .*{name}"):
            predictor.caption(tmp_path / name)
    monkeypatch.setattr(video_files, "MOST_FRAMES", 4)
    with pytest.raises(ImageError, match=r"white\.mp4 has more than 4 frames: cut it into clips"):
        predictor.caption(paths(videos)[0])
    monkeypatch.setattr(video_files, "MAX_PIXELS", 511)
    with pytest.raises(ImageError, match=r"white\.mp4: frames of 32x16 pixels are too large"):
        predictor.caption(paths(videos)[0])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match=r"white\.mp4: videos need PyAV: pip install 'uniperceiver\[video\]'"):
        predictor.caption(paths(videos)[0])


def test_the_fingerprint_knows_which_frames_count(v1_checkpoint: Checkpoint) -> None:
    prints = {
        Predictor(checkpoint).fingerprint
        for checkpoint in (
            v1_checkpoint,
            trained_on(EVEN, 1, v1_checkpoint, "retrieval"),
            trained_on(OFFICIAL, 1, v1_checkpoint, "retrieval"),
        )
    }
    assert len(prints) == 3
