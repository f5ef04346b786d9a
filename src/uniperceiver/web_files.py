"""Files from the web, within bounds of size and time."""

from __future__ import annotations

import io
import time
import urllib.request
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.error import URLError

from uniperceiver.data.images import ImageError

URL_BYTES = 64 * 2**20
"""Largest file fetched from the web."""
URL_SECONDS = 30.0
"""Longest that an answer may take to arrive."""


def is_url(name: str) -> bool:
    """Whether a name is an address on the web."""
    return name.startswith(("http://", "https://"))


def fetch(
    url: str,
    most_bytes: int = URL_BYTES,
    seconds: float = URL_SECONDS,
    opener: urllib.request.OpenerDirector | None = None,
) -> bytes:
    """What an http or https address gives; redirections to other kinds of addresses are not followed.

    ``opener`` is what connects; by default to every host. Connecting and the answer of each host on the way may take
    ``seconds``, however slowly that host sends.

    Raises:
        ImageError: another kind of address, an answer that is not 200, too large or too slow.
    """
    if not is_url(url):
        raise ImageError(f"cannot fetch {url}: only http and https addresses are fetched")
    content = bytearray()
    request = urllib.request.Request(url, headers={"User-Agent": "uniperceiver"})
    try:
        reached = opener or web_opener(urllib.request.ProxyHandler(), _Http(), _Https())
        with reached.open(request, timeout=seconds) as answer:
            while chunk := answer.read1(2**16):
                content += chunk
                if len(content) > most_bytes:
                    raise ImageError(f"{url} is larger than the {most_bytes} bytes that are fetched: download it first")
    except TimeoutError as error:
        raise ImageError(f"{url} took longer than {seconds:g} seconds: download it first") from error
    except (URLError, HTTPException, ConnectionError, UnicodeError) as error:
        raise ImageError(f"cannot fetch {url}: {error}") from error
    return bytes(content)


class TimedResponse(HTTPResponse):
    """An answer that ends with TimeoutError when all of it, head and body, takes longer than the socket's time-out.

    A socket's own time-out begins anew with every byte, so a host that drips could hold its reader for days.
    """

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))


class _TimedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: Any) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = time.monotonic() + sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _HttpConnection(HTTPConnection):
    response_class = TimedResponse


class _HttpsConnection(HTTPSConnection):
    response_class = TimedResponse


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_HttpConnection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_HttpsConnection, request)


def web_opener(*connecting: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Speaks http and https by the given handlers; unlike `urllib.request.urlopen` neither ftp, file nor data."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        *connecting,
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
