"""Videos sent to a server: what is answered, what is refused, and that neither takes much time or memory."""

from __future__ import annotations

import asyncio
import base64
import io
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from torch import Tensor

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.data.datasets.video_files import VideoBounds
from uniperceiver.predictor.videos import VideoReader
from uniperceiver.serve.api import ENDPOINTS, create_app
from uniperceiver.serve.errors import ServiceError
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.requests import VideoRequest
from uniperceiver.serve.videos import VideoDecoder, video_reader

pytest.importorskip("av")
COLOURS = {"white": (1, 1, 1), "cyan": (0, 1, 1)}
ASKED: dict[str, dict[str, Any]] = {
    "classify": {"labels": ["cat", "red car"]},
    "caption": {},
    "match": {"texts": ["a red car", "two dogs"]},
    "embed_image": {},
}
"""The verbs that take videos, with what else they want."""


@pytest.fixture(scope="module")
def watcher(v1_checkpoint: Checkpoint) -> Predictor:
    return Predictor(v1_checkpoint)


@pytest.fixture
def limits() -> Limits:
    return Limits(upload_bytes=2**20, pixels=60_000, video_frames=20, seconds=300)


@pytest.fixture
def videos_client(watcher: Predictor, limits: Limits) -> Iterator[TestClient]:
    with TestClient(create_app(watcher, "tiny", limits), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def films(write_video: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two videos of different lengths and colours."""
    folder = tmp_path_factory.mktemp("films")
    return [write_video(folder / f"{name}.mp4", 5 + len(name), colour) for name, colour in COLOURS.items()]


def send(client: TestClient, verb: str, video: bytes, field: str = "video", **fields: Any) -> Any:
    """The answer to a form with a video; lists become lines."""
    data = {name: "\n".join(value) for name, value in fields.items()}
    return client.post(f"/v1/{verb}", data=data, files={field: ("clip.mp4", video)})


def refusal(response: Any, status: int) -> dict[str, str]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert all(error[part] for part in ("code", "message", "change"))
    return dict(error)


def test_answers_are_those_of_the_predictor(videos_client: TestClient, watcher: Predictor, films: list[Path]) -> None:
    expected: dict[str, Callable[[Path], Any]] = {
        "classify": lambda film: watcher.classify(film, ASKED["classify"]["labels"])[0].to_json(),
        "caption": lambda film: watcher.caption(film)[0].to_json(),
        "match": lambda film: watcher.match(film, ASKED["match"]["texts"])[0].to_json(),
        "embed_image": lambda film: {"embedding": watcher.embed_image(film)[0].tolist()},
    }
    for verb, fields in ASKED.items():
        for film in films:
            found = send(videos_client, verb, film.read_bytes(), **fields).json()
            encoded = base64.b64encode(film.read_bytes()).decode()
            assert videos_client.post(f"/v1/{verb}", json={"video": encoded} | fields).json() == found
            for name, value in expected[verb](film).items():
                assert found[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-5)), verb
    first, second = (send(videos_client, "embed_image", film.read_bytes()).json()["embedding"] for film in films)
    assert max(np.abs(np.subtract(first, second))) > 1e-4


def test_what_is_served_says_which_verbs_take_videos(
    videos_client: TestClient,
    client: TestClient,
    watcher: Predictor,
    films: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taking = [endpoint.verb for endpoint in ENDPOINTS if issubclass(endpoint.takes, VideoRequest)]
    assert videos_client.get("/v1/model").json()["videos"] == taking == list(ASKED)
    assert client.get("/v1/model").json()["videos"] == []
    paths = videos_client.get("/openapi.json").json()["paths"]
    form = paths["/v1/caption"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["video"]["format"] == "binary"
    for verb, fields in ASKED.items():
        error = refusal(send(client, verb, films[0].read_bytes(), **fields), 422)
        assert "takes no videos" in error["message"]
    monkeypatch.setitem(sys.modules, "av", None)
    assert video_reader(watcher, "captioning") is None


def test_a_video_goes_where_one_is_taken_and_comes_alone(
    videos_client: TestClient, films: list[Path], photo: bytes
) -> None:
    film = films[0].read_bytes()
    assert "video is a file" in refusal(send(videos_client, "answer", film, question=["what ?"]), 422)["message"]
    assert "is a file" in refusal(send(videos_client, "embed_text", film, texts=["a dog"]), 422)["message"]
    assert refusal(send(videos_client, "caption", film, field="image"), 415)["code"] == "not_a_picture"
    both = {"image": base64.b64encode(photo).decode(), "video": base64.b64encode(film).decode()}
    assert "more than once" in refusal(videos_client.post("/v1/caption", json=both), 422)["message"]
    named = videos_client.post("/v1/caption", json={"video": "/etc/passwd"})
    assert "the field video is not base64" in refusal(named, 422)["message"]
    one = {"files": {"video": ("a.mp4", film)}, "data": {"image": both["image"]}}
    assert "more than once" in refusal(videos_client.post("/v1/caption", **one), 422)["message"]


def playlist(place: Path) -> bytes:
    """What makes FFmpeg open another file, if it may."""
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{place}\n#EXT-X-ENDLIST\n".encode()


def sound() -> bytes:
    """A tenth of a second of silence in QuickTime's container."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mov") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return file.getvalue()


def changing(*sizes: tuple[int, int]) -> bytes:
    """A frame of each size (height, width), of which the container says the first."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=10)
        for place, (height, width) in enumerate(sizes):
            encoder = av.CodecContext.create("mjpeg", "w") if place else stream.codec_context
            encoder.height, encoder.width, encoder.pix_fmt = height, width, "yuvj420p"
            encoder.time_base = Fraction(1, 10)
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 99, np.uint8)).reformat(format="yuvj420p")
            frame.pts, frame.time_base = place, Fraction(1, 10)
            for packet in [*encoder.encode(frame), *encoder.encode()]:
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, place, place, Fraction(1, 10)
                container.mux(packet)
    return file.getvalue()


def test_hostile_videos(
    videos_client: TestClient, encode_video: Callable[..., bytes], films: list[Path], photo: bytes
) -> None:
    hostile: dict[str, tuple[bytes, int, str]] = {
        "empty": (b"", 422, "the file in the field video is empty"),
        "words": (b"no video", 415, "cannot read the video that was sent"),
        "a picture": (photo, 415, "cannot read"),
        "a playlist": (playlist(films[0]), 415, "cannot read"),
        "another container": (encode_video(form="mpeg", codec="mpeg2video"), 415, "cannot read"),
        "another codec": (encode_video(codec="ffvhuff", form="avi"), 415, "its codec, ffvhuff, is not decoded"),
        "sound": (sound(), 415, "no video in it"),
        "truncated": (films[0].read_bytes()[:200], 415, "cannot read"),
        "no frame": (encode_video(0, form="avi"), 422, "no frame"),
        "long": (encode_video(21), 413, "more than 20 frames"),
        "large": (encode_video(1, (250, 250)), 413, "250x250 pixels are too large"),
        "far too large": (encode_video(1, (1200, 1200)), 413, "of far more than 60000 pixels"),
        "a thread": (encode_video(1, (16, 1024)), 413, "1024x16 pixels are too long"),
        "large inside": (changing((32, 32), (250, 250)), 413, "250x250 pixels are too large"),
        "far too large inside": (changing((32, 32), (1200, 1200)), 413, "of far more than 60000 pixels"),
    }
    for name, (video, status, says) in hostile.items():
        response = send(videos_client, "caption", video)
        assert (name, response.status_code) == (name, status)
        assert says in refusal(response, status)["message"], name
    assert send(videos_client, "caption", films[0].read_bytes()).status_code == 200


@pytest.mark.parametrize(("codec", "form"), [("mpeg4", "avi"), ("ffv1", "matroska"), ("mpeg4", "mp4")])
def test_broken_videos_are_answered_or_refused(
    videos_client: TestClient, encode_video: Callable[..., bytes], codec: str, form: str
) -> None:
    """Whatever is broken in it: never a failure of the server."""
    whole = encode_video(6, codec=codec, form=form)
    generator = np.random.default_rng(0)
    broken = [whole[: len(whole) * part // 8] for part in range(1, 8)]
    for _ in range(12):
        content = np.frombuffer(whole, dtype=np.uint8).copy()
        content[generator.integers(0, len(content), 6)] = generator.integers(0, 256, 6)
        broken.append(content.tobytes())
    for video in broken:
        response = send(videos_client, "caption", video)
        if response.status_code != 200:
            assert response.status_code in (413, 415, 422), response.text
            refusal(response, response.status_code)


def test_sizes_may_change_within_the_bounds(videos_client: TestClient) -> None:
    assert send(videos_client, "caption", changing((32, 32), (64, 48))).status_code == 200


class HeldReader(VideoReader):
    """Reads when it is let."""

    opened = threading.Event()

    def views(self, source: Path | bytes, bounds: VideoBounds | None = None) -> Tensor:
        assert self.opened.wait(300)
        return super().views(source, bounds)


@pytest.fixture
def reader(watcher: Predictor) -> VideoReader:
    found = watcher.video_reader("captioning")
    assert found is not None
    return found


def test_decoding_holds_nobody_up_and_few_wait_for_it(reader: VideoReader, films: list[Path]) -> None:
    held = HeldReader(reader.sampling, reader.transform)
    video = films[0].read_bytes()

    async def watch() -> None:
        decoder = VideoDecoder(Limits(queue=1))
        waiting = asyncio.create_task(decoder.views(video, held))
        await asyncio.sleep(0)  # this loop goes on while the video waits
        with pytest.raises(ServiceError, match="1 requests are waiting") as refused:
            await decoder.views(video, reader)
        assert refused.value.status == 503
        held.opened.set()
        assert (await waiting).equal(reader(films[0]))
        assert (await decoder.views(video, reader)).equal(reader(films[0]))
        decoder.close()

    asyncio.run(watch())


def test_decoding_ends_in_time(reader: VideoReader, limits: Limits, films: list[Path]) -> None:
    async def watch() -> None:
        decoder = VideoDecoder(replace(limits, seconds=1e-6))
        with pytest.raises(TimeoutError, match="was not decoded in time"):
            await decoder.views(films[0].read_bytes(), reader)
        decoder.close()

    asyncio.run(watch())
