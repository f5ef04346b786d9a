"""What a server may fetch for strangers: nothing from inside its own network."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from uniperceiver import Predictor
from uniperceiver.data.images import ImageError
from uniperceiver.serve import bodies, public_addresses
from uniperceiver.serve.api import create_app
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.public_addresses import public_opener
from uniperceiver.web_files import fetch

HIDDEN = (
    *("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "[2002:7f00:1::]"),
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "[fd00::1]", "[fe80::1]"),
)


class Handler(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", f"http://10.0.0.1:{self.server.server_port}/secret")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"content")

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    Handler.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("host", HIDDEN)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_private_addresses_are_refused(host: str, scheme: str) -> None:
    with pytest.raises(ImageError, match="not a public address"):
        fetch(f"{scheme}://{host}:9/", opener=public_opener(), seconds=2)


def test_nothing_is_sent_to_a_refused_address(server: http.server.ThreadingHTTPServer) -> None:
    with pytest.raises(ImageError, match="not a public address"):
        fetch(f"http://127.0.0.1:{server.server_port}/secret", opener=public_opener())
    assert Handler.asked == []


def test_redirections_are_looked_at_again(server: http.server.ThreadingHTTPServer, monkeypatch) -> None:
    """As if 127.0.0.1 were public: what it redirects to is not."""
    is_public = public_addresses._is_public
    monkeypatch.setattr(public_addresses, "_is_public", lambda address: address == "127.0.0.1" or is_public(address))
    address = f"http://127.0.0.1:{server.server_port}"
    assert fetch(f"{address}/picture", opener=public_opener()) == b"content"
    with pytest.raises(ImageError, match=r"10\.0\.0\.1 is not a public address"):
        fetch(f"{address}/away", opener=public_opener())
    assert Handler.asked == ["/picture", "/away"]


def test_the_address_that_was_looked_at_is_connected_to(monkeypatch) -> None:
    """A name that means something else the second time is asked for once only."""
    answers = iter(["93.184.215.14", "127.0.0.1"])
    connected: list[Any] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(address: Any, *_: Any) -> socket.socket:
        connected.append(address)
        raise TimeoutError("not really")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ImageError, match="not really"):
        fetch("http://changing.example/", opener=public_opener())
    assert connected == [("93.184.215.14", 80)]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/a", "data:image/png;base64,AAAA", "gopher://x"]
)
def test_only_the_web_is_fetched(predictor: Predictor, url: str) -> None:
    with TestClient(create_app(predictor, "tiny", Limits(), allow_urls=True)) as client:
        response = client.post("/v1/classify", json={"image_url": url})
        assert response.status_code == 422
        assert "only http and https" in response.json()["error"]["message"]
        private = client.post("/v1/classify", json={"image_url": "http://169.254.169.254/latest/meta-data"})
        assert private.status_code == 422
        assert "not a public address" in private.json()["error"]["message"]


def test_a_fetch_that_hangs_is_answered_in_time(predictor: Predictor, monkeypatch) -> None:
    """Wherever it hangs, e.g. looking up a name, which has no time-out of its own."""
    answered = threading.Event()
    hung = []
    monkeypatch.setattr(bodies, "fetch", lambda *_: hung.append(not answered.wait(60)))
    with TestClient(create_app(predictor, "tiny", Limits(seconds=0.2), allow_urls=True)) as client:
        response = client.post("/v1/classify", json={"image_url": "http://slow.example/a.png"})
        assert not hung, "the answer waited for the fetch"
        answered.set()
    assert response.status_code == 422
    assert "longer than 0.2 seconds" in response.json()["error"]["message"]
