"""Running the server until it is told to stop."""

from __future__ import annotations

import uvicorn

from uniperceiver.predictor import Predictor
from uniperceiver.serve.api import create_app
from uniperceiver.serve.limits import Limits


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
