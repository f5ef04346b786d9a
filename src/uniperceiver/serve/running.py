"""Running the server until it is told to stop."""

from __future__ import annotations

import socket

import uvicorn

from uniperceiver.predictor import Predictor
from uniperceiver.serve.api import create_app
from uniperceiver.serve.limits import Limits


def check_address(host: str, port: int) -> None:
    """OSError unless a server can listen there: worth knowing before a model is loaded."""
    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: ports rest a minute
                tried.bind(address)
    except OSError as error:
        reason = f"cannot listen at --host {host}, --port {port}: {error.strerror}"
        raise OSError(f"{reason}; --port 0 takes a free one") from error


def serve(predictor: Predictor, name: str, host: str, port: int, limits: Limits, allow_urls: bool) -> None:
    """Serve until SIGINT or SIGTERM; then no more requests are taken, and those that came are answered."""
    config = uvicorn.Config(
        create_app(predictor, name, limits, allow_urls),
        host=host,
        port=port,
        log_level="info",
        server_header=False,
        timeout_graceful_shutdown=round(2 * limits.seconds) + 1,
        limit_concurrency=4 * limits.queue,
    )
    uvicorn.Server(config).run()
