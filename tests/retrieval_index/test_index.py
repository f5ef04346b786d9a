"""An index grows, notices changes, survives being stopped, and finds what brute force finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.retrieval_index import RetrievalIndex, RetrievalIndexError, pictures_below


def build(folder: Path, predictor: Predictor, photos: Path, segment: int = 4) -> RetrievalIndex:
    index = RetrievalIndex.open_or_create(folder, predictor, "tiny")
    index.update(predictor, pictures_below(photos), [photos], segment)
    return index


def test_search_finds_what_brute_force_finds(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    index = RetrievalIndex.open(build(tmp_path / "index", predictor, photos).folder)
    paths = list(pictures_below(photos))
    assert [len(segment.entries) for segment in index.segments] == [4, 4, 2]
    vectors = predictor.embed_image(paths)
    for query in (predictor.embed_text("a red car")[0], vectors[3]):
        cosines = vectors @ query
        expected = np.argsort(-cosines, kind="stable")
        for top in (1, 3, 50):
            hits = index.search(query, top)
            assert [hit.path for hit in hits] == [str(paths[i]) for i in expected[:top]]
            np.testing.assert_allclose([hit.similarity for hit in hits], cosines[expected[:top]], atol=1e-5)
    assert index.search(vectors[3], 1)[0].similarity == pytest.approx(1, abs=1e-5)


def test_an_update_computes_only_what_is_new_or_changed(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build(tmp_path / "index", predictor, photos)
    embed, embedded = predictor.embed_image, []
    monkeypatch.setattr(predictor, "embed_image", lambda given: (embedded.extend(given), embed(given))[1])

    Image.new("RGB", (30, 30), (255, 0, 0)).save(photos / "0.png")
    os.utime(photos / "2.png", ns=(1, 1))  # touched, not changed
    (photos / "4.png").unlink()
    Image.new("RGB", (30, 30), (0, 0, 255)).save(photos / "new.png")
    (photos / "broken.png").write_bytes(b"no picture")
    before = index.search(embed([photos / "6.png"])[0], 1)
    changes = index.update(predictor, pictures_below(photos), [photos], 4)
    assert (changes.added, changes.unchanged, changes.removed) == (2, 8, 1)
    assert [Path(failure.name).name for failure in changes.failures] == ["broken.png"]
    assert len(embedded) == 2

    reopened = RetrievalIndex.open(index.folder)
    assert set(reopened.entries()) == {str(path) for path in pictures_below(photos) if path.name != "broken.png"}
    found = [hit.path for hit in reopened.search(embed([photos / "0.png"])[0], 50)]
    assert len(found) == len(set(found)) == 10
    assert found[0] == str(photos / "0.png")
    assert reopened.search(embed([photos / "6.png"])[0], 1) == before

    Image.new("RGB", (30, 30), (0, 255, 0)).save(photos / "4.png")  # what was removed may come back
    assert reopened.update(predictor, [photos / "4.png"]).added == 1
    assert str(photos / "4.png") in RetrievalIndex.open(index.folder).entries()


STOPPING_BUILD = """
import sys
import time
from pathlib import Path
from uniperceiver import Predictor
from uniperceiver.retrieval_index import RetrievalIndex, pictures_below
model, photos, folder = map(Path, sys.argv[1:])
predictor = Predictor.from_pretrained(model)
embed = predictor.embed_image
embedded = []
def embed_three(given):
    if len(embedded) == 3:
        print("three segments are written", flush=True)
        time.sleep(3600)
    embedded.append(given)
    return embed(given)
predictor.embed_image = embed_three
index = RetrievalIndex.open_or_create(folder, predictor, "tiny")
index.update(predictor, pictures_below(photos), [photos], 1)
"""


def test_a_build_that_was_killed_goes_on(
    predictor: Predictor, model_folder: Path, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    arguments = [sys.executable, "-c", STOPPING_BUILD, str(model_folder), str(photos), str(folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "three segments are written\n"
        process.kill()
    there = len(RetrievalIndex.open(folder).entries())
    assert there == 3

    (folder / "segments" / ".000099.safetensors.writing").write_bytes(b"half a segment")
    index = RetrievalIndex.open_or_create(folder, predictor, "tiny")
    changes = index.update(predictor, pictures_below(photos), [photos])
    assert (changes.added, changes.unchanged) == (10 - there, there)
    whole = build(tmp_path / "uninterrupted", predictor, photos)
    query = predictor.embed_text("two dogs")[0]
    resumed, uninterrupted = index.search(query, 10), whole.search(query, 10)
    assert [hit.path for hit in resumed] == [hit.path for hit in uninterrupted]
    np.testing.assert_allclose(
        [hit.similarity for hit in resumed], [hit.similarity for hit in uninterrupted], atol=1e-4
    )


def test_another_model_is_refused(predictor: Predictor, model_folder: Path, photos: Path, tmp_path: Path) -> None:
    index = build(tmp_path / "index", predictor, photos)
    other = load_checkpoint(model_folder)
    with torch.no_grad():
        other.model.log_inverse_temperature.add_(0.5)
    stranger = Predictor(other)
    for use in (
        lambda: RetrievalIndex.open_or_create(index.folder, stranger, "other"),
        lambda: index.update(stranger, [photos / "0.png"]),
    ):
        with pytest.raises(RetrievalIndexError, match="made by another model"):
            use()


def test_what_is_no_index_is_named(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RetrievalIndexError, match=r"no index\.json"):
        RetrievalIndex.open(tmp_path / "nowhere")
    with pytest.raises(RetrievalIndexError, match="not empty and not an index"):
        RetrievalIndex.open_or_create(photos, predictor, "tiny")
    index = RetrievalIndex.open_or_create(tmp_path / "index", predictor, "tiny")
    with pytest.raises(RetrievalIndexError, match="is empty"):
        index.search(np.zeros(40, np.float32))
    with pytest.raises(ValueError, match=r"shape \(40,\)"):
        index.search(np.zeros(7, np.float32))
    build(tmp_path / "index", predictor, photos)
    segment = tmp_path / "index" / "segments" / "000001.safetensors"
    segment.write_bytes(segment.read_bytes()[:-9])
    with pytest.raises(RetrievalIndexError, match="cut off"):
        RetrievalIndex.open(tmp_path / "index").entries()
    about = json.loads((tmp_path / "index" / "index.json").read_text())
    (tmp_path / "index" / "index.json").write_text(json.dumps(about | {"format": 2}))
    with pytest.raises(RetrievalIndexError, match="format 2"):
        RetrievalIndex.open(tmp_path / "index")
    (tmp_path / "index" / "index.json").write_text("{}")
    with pytest.raises(RetrievalIndexError, match="broken"):
        RetrievalIndex.open(tmp_path / "index")


def test_hidden_files_are_no_pictures(photos: Path) -> None:
    (photos / ".thumbnails").mkdir()
    (photos / ".thumbnails" / "a.png").touch()
    (photos / ".b.png").touch()
    assert len(list(pictures_below(photos))) == 10
