"""Load on a running server: 16 clients at once with mixed verbs, some malformed, against the same requests one by one.

    uniperceiver serve --model runs/demo --port 8000 &
    python benchmarks/server_load.py http://127.0.0.1:8000 photo.jpg [photo.jpg …]

Prints, for each part, requests a second and the 50th and 95th percentile of their times; the server's batches; and its
memory after every hundred of 1,000 requests. Exits with 1 if a request was answered otherwise than expected. Only
loopback addresses are asked. The number of requests is fixed, so it stops by itself.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

CLIENTS = 16
MIXED = 200
SOAKED = 1000
SIDE = 320
"""Longer side of the pictures that are sent."""
LABELS = ["dog", "cat", "red car", "person", "bicycle", "tree"]


@dataclass(frozen=True)
class Ask:
    """A request and the status it should be answered with."""

    verb: str
    body: bytes
    expected: int = 200


@dataclass(frozen=True)
class Answered:
    """How a request went."""

    ask: Ask
    status: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("pictures", nargs="+", type=Path)
    given = parser.parse_args()
    if urlsplit(given.address).hostname not in ("127.0.0.1", "localhost", "::1"):
        sys.exit("only a server on this machine is put under load")
    pictures = [small(path) for path in given.pictures]
    wrong: list[Answered] = []
    for title, asks in (("texts", list(islice(texts(), MIXED))), ("mixed", list(islice(mixed(pictures), MIXED)))):
        send(given.address, asks[:8], 1)  # labels are encoded once, before the clock starts
        alone = report(f"{title}, one by one", asks, *send(given.address, asks, 1))
        together = report(f"{title}, {CLIENTS} clients", asks, *send(given.address, asks, CLIENTS))
        wrong += [answer for answer in (*alone[1], *together[1]) if answer.status != answer.ask.expected]
        print(f"{title}: {together[0] / alone[0]:.2f} times the throughput")
    wrong += soak(given.address, list(islice(mixed(pictures), SOAKED)))
    batches(given.address)
    for (verb, expected, status), number in Counter((w.ask.verb, w.ask.expected, w.status) for w in wrong).items():
        print(f"WRONG: {number} of {verb} were answered {status} instead of {expected}")
    sys.exit(bool(wrong))


def small(path: Path) -> str:
    """A picture as base64 of a small JPEG."""
    with Image.open(path) as image:
        copy = image.convert("RGB")
    copy.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    copy.save(buffer, "JPEG")
    return b64encode(buffer.getvalue()).decode()


def texts() -> Iterator[Ask]:
    """Small requests without end: one text each."""
    for number in cycle(range(10_000)):
        yield Ask("embed_text", json.dumps({"texts": [f"a photograph of thing number {number}"]}).encode())


def mixed(pictures: Sequence[str]) -> Iterator[Ask]:
    """Every verb in turn, one request of ten malformed."""
    for number, picture in enumerate(cycle(pictures)):
        fields: dict[str, object] = {"image": picture}
        match number % 10:
            case 0 | 1 | 2:
                yield Ask("classify", json.dumps(fields | {"labels": LABELS}).encode())
            case 3 | 4:
                yield Ask("detect", json.dumps(fields | {"labels": LABELS, "masks": number % 2 == 0}).encode())
            case 5:
                yield Ask("embed_image", json.dumps(fields).encode())
            case 6:
                yield Ask("match", json.dumps(fields | {"texts": ["a dog", "a red car on the road"]}).encode())
            case 7 | 8:
                yield Ask("embed_text", json.dumps({"texts": ["a dog", f"text {number}"]}).encode())
            case 9:
                yield malformed(number // 10)


def malformed(number: int) -> Ask:
    """One of several mistakes."""
    mistakes = (
        Ask("classify", b"{", 422),
        Ask("classify", b'{"image": "../../etc/passwd"}', 422),
        Ask("detect", json.dumps({"image": b64encode(b"not a picture").decode()}).encode(), 415),
        Ask("embed_text", json.dumps({"texts": ["word"] * 10_000}).encode(), 413),
    )
    return mistakes[number % len(mistakes)]


def send(address: str, asks: Sequence[Ask], clients: int) -> tuple[float, list[Answered]]:
    """All requests by some clients at once; the time it took, and how each went."""
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(lambda ask: post(address, ask), asks))
    return time.perf_counter() - start, answers


def post(address: str, ask: Ask) -> Answered:
    """One request."""
    start = time.perf_counter()
    request = urllib.request.Request(f"{address}/v1/{ask.verb}", ask.body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()
            status = answer.status
    except urllib.error.HTTPError as error:
        error.read()
        status = error.code
    return Answered(ask, status, time.perf_counter() - start)


def report(title: str, asks: Sequence[Ask], seconds: float, answers: list[Answered]) -> tuple[float, list[Answered]]:
    """Print how it went; requests a second, and the answers."""
    times = sorted(answer.seconds for answer in answers)
    p50, p95 = times[len(times) // 2], times[int(0.95 * len(times))]
    rate = len(asks) / seconds
    print(f"{title}: {rate:.1f} requests a second, 50 % within {1e3 * p50:.0f} ms, 95 % within {1e3 * p95:.0f} ms")
    return rate, answers


def soak(address: str, asks: Sequence[Ask]) -> list[Answered]:
    """All requests with the server's memory after every hundred; those answered wrongly."""
    wrong: list[Answered] = []
    used: list[float] = []
    for start in range(0, len(asks), 100):
        _, answers = send(address, asks[start : start + 100], CLIENTS)
        wrong += [answer for answer in answers if answer.status != answer.ask.expected]
        used.append(metric(address, r"process_resident_memory_bytes (\S+)") / 2**20)
    print(f"memory over {len(asks)} requests, MiB: {', '.join(f'{value:.0f}' for value in used)}")
    return wrong


def batches(address: str) -> None:
    """Print the mean batch of every verb."""
    for verb in ("classify", "detect", "embed_image", "match", "embed_text"):
        total = metric(address, rf'uniperceiver_batch_size_sum{{verb="{verb}"}} (\S+)')
        number = metric(address, rf'uniperceiver_batch_size_count{{verb="{verb}"}} (\S+)')
        print(f"{verb}: {number:.0f} batches of {total / max(number, 1):.2f} on average")


def metric(address: str, pattern: str) -> float:
    """A number from the server's metrics; 0 where it is not there."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
        found = re.search(f"^{pattern}", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    main()
