"""Fetching files: what a host may send, how much of it and how slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from uniperceiver.data.images import ImageError
from uniperceiver.picture_sources import Failure, NamedPicture, read_pictures
from uniperceiver.serve import public_addresses
from uniperceiver.serve.public_addresses import public_opener
from uniperceiver.web_files import fetch

PAUSE = 0.05
DRIPS = 80
"""Four seconds in all: far longer than the limits here, each pause far shorter."""


@pytest.fixture
def address(data: Path) -> Iterator[str]:
    """A web server with a picture, wrong redirections, and answers whose head or body drips."""
    picture = (data / "images" / "0.png").read_bytes()
    moved = {"/moved": "/a.png", "/moved-file": f"file://{data}/images/0.png", "/moved-drip": "/drip-head"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/drip-head":
                self.drip(lambda: b"X-Drip: drop\r\n", start=b"HTTP/1.1 200 OK\r\n")
                return
            self.send_response(302 if self.path in moved else 404 if self.path == "/none" else 200)
            if self.path in moved:
                self.send_header("Location", moved[self.path])
            if self.path == "/drip-length":
                self.send_header("Content-Length", str(10 * DRIPS))
            if self.path == "/drip-chunks":
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.path.startswith("/drip"):
                self.drip(lambda: b"1\r\nx\r\n" if self.path == "/drip-chunks" else b"x")
            elif self.path == "/a.png":
                self.wfile.write(picture)

        def drip(self, drop: Callable[[], bytes], start: bytes = b"") -> None:
            self.wfile.write(start)
            try:
                for _ in range(DRIPS):
                    self.wfile.write(drop())
                    self.wfile.flush()
                    time.sleep(PAUSE)
            except ConnectionError:
                return  # the reader has had enough

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_gives_its_picture(address: str) -> None:
    for path in ("/a.png", "/moved"):
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
    with pytest.raises(ImageError, match="only http and https"):
        fetch("file:///etc/hostname")


@pytest.mark.parametrize("path", ["/drip", "/drip-length", "/drip-chunks", "/drip-head", "/moved-drip"])
@pytest.mark.parametrize("is_public", [False, True])
def test_a_host_that_drips_is_left_in_time(
    address: str, path: str, is_public: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pause is as long as the limit, so a time-out of the socket alone would wait for the last byte."""
    monkeypatch.setattr(public_addresses, "_is_public", lambda _: True)
    start = time.monotonic()
    with pytest.raises(ImageError, match=r"longer than 0\.3 seconds"):
        fetch(f"{address}{path}", seconds=0.3, opener=public_opener() if is_public else None)
    assert time.monotonic() - start < DRIPS * PAUSE / 2
