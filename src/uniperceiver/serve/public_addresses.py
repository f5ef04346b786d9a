"""Fetching pictures for strangers: only from addresses that everybody can reach.

A server stands inside a network that its askers may not see. So the address that a name stands for is looked up once,
refused unless it is public, and that very address is connected to: a name that changes its address in between, or a
redirection to a private one, gains nothing (server-side request forgery).
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.request

from uniperceiver.data.images import ImageError
from uniperceiver.web_files import TimedResponse, web_opener


def public_opener() -> urllib.request.OpenerDirector:
    """Speaks http and https to public addresses, without proxies: these would look names up themselves."""
    return web_opener(_Http(), _Https())


def connect_publicly(host: str, port: int, seconds: float | None) -> socket.socket:
    """A connection to a host of which all addresses are public.

    Raises:
        ImageError: one is private, of this machine, or otherwise not for everybody.
        OSError: there is no such host, or it does not answer.
    """
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    hidden = sorted(address for address in found if not _is_public(address))
    if hidden:
        raise ImageError(f"{host} is not a public address: send the picture itself")
    return socket.create_connection((min(found), port), seconds)


def _is_public(address: str) -> bool:
    """Global unicast; an IPv4 address written as one of IPv6 counts as what it stands for."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed.sixtofour or parsed
    return parsed.is_global and not parsed.is_multicast


class _HttpConnection(http.client.HTTPConnection):
    response_class = TimedResponse

    def connect(self) -> None:
        self.sock = connect_publicly(self.host, self.port, self.timeout)


class _HttpsConnection(http.client.HTTPSConnection):
    response_class = TimedResponse

    def connect(self) -> None:
        raw = connect_publicly(self.host, self.port, self.timeout)
        self.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=self.host)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, request)
