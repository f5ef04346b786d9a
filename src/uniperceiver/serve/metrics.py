"""What a server counts, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "uniperceiver"
        self.requests = Counter(f"{prefix}_requests", "Requests answered.", ["verb", "status"], registry=self.registry)
        self.request_seconds = Histogram(
            f"{prefix}_request_seconds",
            "From the arrival of a request to its answer.",
            ["verb"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.model_seconds = Histogram(
            f"{prefix}_model_seconds", "Computing a batch.", ["verb"], buckets=SECONDS, registry=self.registry
        )
        self.batch_size = Histogram(
            f"{prefix}_batch_size",
            "Requests computed together.",
            ["verb"],
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.waiting = Gauge(f"{prefix}_waiting", "Requests in the queue.", registry=self.registry)
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)
