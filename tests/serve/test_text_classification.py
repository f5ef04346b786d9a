"""Texts are classified by a model that was trained to; what it cannot answer is explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import TaskConfig
from uniperceiver.serve.api import create_app
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.questions import Question, ask
from uniperceiver.stored_tasks import StoredTask

TEXTS = ["a red car", "two dogs run on the grass ."]
MOOD = TaskConfig("text_classification", template="{first} {slot}", label_words={"bad": "red", "good": "blue"})
RTE = TaskConfig("text_classification", template="rte")


@pytest.fixture(scope="module")
def reader(checkpoint: Checkpoint) -> Predictor:
    tasks = {"mood": StoredTask(MOOD, ("red", "blue")), "rte": StoredTask(RTE, ("no", "yes"))}
    return Predictor(replace(checkpoint, tasks=tasks))


@pytest.fixture
def texts_client(reader: Predictor, limits: Limits) -> Iterator[TestClient]:
    with TestClient(create_app(reader, "tiny", limits), raise_server_exceptions=False) as client:
        yield client


def classified(client: TestClient, **fields: Any) -> Any:
    return client.post("/v1/classify_text", json={"texts": TEXTS} | fields)


def test_answers_are_those_of_the_predictor(texts_client: TestClient, reader: Predictor) -> None:
    found = classified(texts_client, task="mood", labels=["good", "bad"]).json()["texts"]
    assert [entry["names"] for entry in found] == [["good", "bad"]] * 2
    expected = reader.classify_text(TEXTS, labels=["good", "bad"], task="mood")
    for entry, other in zip(found, expected, strict=True):
        assert entry["probabilities"] == pytest.approx(other.probabilities.tolist(), abs=1e-5)
    pairs = classified(texts_client, task="rte", second=["a cat"]).json()["texts"]
    form = {"texts": "\n".join(TEXTS), "second": "a cat\na cat", "task": "rte"}
    assert texts_client.post("/v1/classify_text", data=form, files={}).status_code == 415
    as_form = texts_client.post("/v1/classify_text", files={name: (None, value) for name, value in form.items()})
    for entry, other in zip(as_form.json()["texts"], pairs, strict=True):
        assert entry["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    assert "classify_text" in texts_client.get("/v1/model").json()["verbs"]


def test_requests_that_wait_together_are_asked_together(reader: Predictor) -> None:
    asked = [Question("classify_text", texts=(text, "a cat"), second=("a dog",) * 2, task="rte") for text in TEXTS]
    assert asked[0].shared == asked[1].shared
    assert asked[0].shared != replace(asked[0], task="mood", second=()).shared
    together = ask(reader, asked)
    for question, answer in zip(asked, together, strict=True):
        (alone,) = ask(reader, [question])
        for entry, other in zip(answer["texts"], alone["texts"], strict=True):
            assert entry["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "several tasks of text_classification"),
        ({"task": "mood", "second": ["a cat"]}, "single texts"),
        ({"task": "rte"}, "pairs of texts"),
        ({"task": "rte", "second": ["a", "b", "c"]}, "3 second texts for 2 texts"),
        ({"task": "rte", "second": ["a", " "]}, "blank"),
        ({"texts": [], "task": "mood"}, "no texts"),
        ({"task": "mood", "labels": ["good", "blue"]}, "twice"),
    ],
)
def test_bad_fields(texts_client: TestClient, fields: dict[str, Any], says: str) -> None:
    response = classified(texts_client, **fields)
    assert response.status_code == 422
    assert says in response.json()["error"]["message"]


def test_a_model_without_such_a_task_says_so(client: TestClient) -> None:
    response = classified(client)
    assert response.status_code == 422
    assert "not trained for text_classification" in response.json()["error"]["message"]
