"""Pictures by name: files, folders, patterns, videos, addresses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from uniperceiver.data.images import ImageError
from uniperceiver.picture_sources import Failure, NamedPicture, fetch, find_sources, read_pictures


@pytest.fixture
def address(data: Path) -> Iterator[str]:
    """A web server with a picture, one that is too large, one that never ends, and wrong redirections."""
    picture = (data / "images" / "0.png").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header(
                    "Location", {"/moved": "/a.png", "/moved-file": f"file://{data}/images/0.png"}[self.path]
                )
                self.end_headers()
                return
            self.send_response(404 if self.path == "/none" else 200)
            self.end_headers()
            if self.path == "/slow":
                for _ in range(20):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.1)
            elif self.path != "/none":
                self.wfile.write(picture)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_folders_patterns_and_files(data: Path, tmp_path: Path) -> None:
    images = data / "images"
    assert find_sources([str(images)]) == [str(images / f"{i}.png") for i in range(6)]
    assert find_sources([f"{images}/[35].png", "gone.jpg"]) == [
        str(images / "3.png"),
        str(images / "5.png"),
        "gone.jpg",
    ]
    assert len(find_sources([f"{data}/**/*.png"])) == 12
    (tmp_path / "a[1].png").touch()
    assert find_sources([str(tmp_path / "a[1].png")]) == [str(tmp_path / "a[1].png")]
    with pytest.raises(FileNotFoundError, match="no file fits"):
        find_sources(["*.nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no picture in"):
        find_sources([str(tmp_path / "empty")])


def test_an_address_gives_its_picture(address: str) -> None:
    for path in ("/a.png?size=2", "/moved"):
        (found,) = read_pictures(address + path)
        assert isinstance(found, NamedPicture)
        assert found.pixels.shape == (3, 48, 64)


def test_what_an_address_does_not_give_is_a_failure(address: str) -> None:
    for name, reason in (
        (f"{address}/none", "404"),
        ("http://127.0.0.1:9/a.png", "cannot fetch"),
        ("http://", "cannot"),
    ):
        (found,) = read_pictures(name)
        assert isinstance(found, Failure)
        assert reason in found.reason
    with pytest.raises(ImageError, match="cannot fetch"):
        fetch(f"{address}/moved-file")
    with pytest.raises(ImageError, match="larger than the 100 bytes"):
        fetch(f"{address}/a.png", most_bytes=100)
    with pytest.raises(ImageError, match="longer than"):
        fetch(f"{address}/slow", seconds=0.25)
    with pytest.raises(ImageError, match="only http and https"):
        fetch("file:///etc/hostname")


def write_video(path: Path, frames: int) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            values = np.full((48, 64, 3), 20 * number, dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_every_nth_frame_of_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 8)
    found = list(read_pictures(str(tmp_path / "clip.mp4"), every=3))
    assert [picture.name.partition("#")[2] for picture in found] == ["0", "3", "6"]
    for picture, expected in zip(found, (0, 60, 120), strict=True):
        assert isinstance(picture, NamedPicture)
        assert picture.pixels.shape == (3, 48, 64)
        assert abs(picture.pixels.float().mean() - expected) < 8


def test_a_broken_video_is_a_failure(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "clip.mp4").write_bytes(b"no video at all")
    (found,) = read_pictures(str(tmp_path / "clip.mp4"))
    assert isinstance(found, Failure)
    assert "clip.mp4" in found.reason
