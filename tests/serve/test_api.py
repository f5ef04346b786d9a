"""Every endpoint, and every kind of bad request."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from typing import Any, get_args

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.serve.api import ENDPOINTS, PAGE_FILES
from uniperceiver.serve.questions import Verb


def post(client: TestClient, verb: str, picture: bytes | None = None, **fields: str) -> Any:
    """The answer to a form."""
    files = None if picture is None else {"image": ("photo.png", picture)}
    return client.post(f"/v1/{verb}", data=fields, files=files)


def refusal(response: Any, status: int) -> dict[str, str]:
    """The error of a refused request, which always has the same three parts."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "change"}
    assert all(error.values())
    return dict(error)


def test_answers_are_those_of_the_predictor(client: TestClient, predictor: Predictor, photo: bytes) -> None:
    image = Image.open(io.BytesIO(photo))
    labels = {"labels": "cat, red car"}
    names = ["cat", "red car"]

    classified = post(client, "classify", photo, **labels).json()
    assert classified == predictor.classify(image, names)[0].to_json()

    detected = post(client, "detect", photo, threshold="0", **labels).json()
    (expected,) = predictor.detect(image, names, threshold=0)
    assert (detected["height"], detected["width"]) == (60, 80)
    assert detected["objects"] == expected.to_json()["objects"]
    bare = post(client, "detect", photo, threshold="0", masks="false", **labels).json()
    assert len(bare["objects"]) == len(expected)
    assert "segmentation" not in bare["objects"][0]

    assert post(client, "caption", photo).json() == predictor.caption(image)[0].to_json()
    texts = ["a red car, parked", "two dogs"]
    matched = post(client, "match", photo, texts="\n".join(texts)).json()
    assert matched["similarities"] == pytest.approx(predictor.match(image, texts)[0].similarities.tolist(), abs=1e-6)
    answered = post(client, "answer", photo, question="how many ?", answers='["one", "two, or so"]').json()
    assert set(answered["answers"]) == {"one", "two, or so"}
    embedded = post(client, "embed_image", photo).json()["embedding"]
    np.testing.assert_allclose(embedded, predictor.embed_image(image)[0], atol=1e-6)


def test_texts_need_no_picture(client: TestClient, predictor: Predictor, photo: bytes) -> None:
    found = client.post("/v1/embed_text", json={"texts": ["a red car", "a dog"]}).json()["embeddings"]
    np.testing.assert_allclose(found, predictor.embed_text(["a red car", "a dog"]), atol=1e-6)
    texts = ["a [MASK] car", "[MASK] dogs [MASK]"]
    filled = client.post("/v1/fill_mask", json={"texts": texts}).json()["texts"]
    assert [len(text["slots"]) for text in filled] == [1, 2]
    assert len(post(client, "fill_mask", photo, texts="a [MASK] car").json()["texts"]) == 1


def test_json_takes_base64(client: TestClient, photo: bytes) -> None:
    text = base64.b64encode(photo).decode()
    for image in (text, f"data:image/png;base64,{text}"):
        response = client.post("/v1/classify", json={"image": image, "labels": ["cat", "dog, asleep"]})
        assert set(response.json()["names"]) == {"cat", "dog, asleep"}


def test_lvis_has_as_many_labels_as_are_taken(client: TestClient, photo: bytes) -> None:
    labels = [f"thing {number}" for number in range(1203)]
    response = client.post("/v1/classify", json={"image": base64.b64encode(photo).decode(), "labels": labels})
    assert response.status_code == 200
    assert post(client, "classify", photo, labels="\n".join(labels)).status_code == 200


def png_of_size(width: int, height: int) -> bytes:
    """A tiny PNG that claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("picture", "status", "code"),
    [
        (b"", 422, "invalid_request"),
        (b"not a picture", 415, "not_a_picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not_a_picture"),
        (b"\x89PNG\r\n\x1a\n", 415, "not_a_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not_a_picture"),
        (png_of_size(501, 500), 413, "too_large"),
        (png_of_size(2**31 - 1, 2**31 - 1), 413, "too_large"),
        (bytes(2**20), 413, "too_large"),
    ],
)
def test_hostile_pictures(client: TestClient, picture: bytes, status: int, code: str) -> None:
    assert refusal(post(client, "classify", picture), status)["code"] == code


def test_truncated_pictures_are_the_senders_fault(client: TestClient, photo: bytes) -> None:
    assert "broken" in refusal(post(client, "classify", photo[: len(photo) // 2]), 422)["message"]
    assert "broken" in refusal(post(client, "detect", png_of_size(50, 40)), 422)["message"]


@pytest.mark.parametrize(
    ("verb", "fields", "status", "says"),
    [
        ("classify", {"labels": ",".join(f"label {n}" for n in range(10_000))}, 413, "10000 texts"),
        ("classify", {"labels": "a" * 1_000_000}, 413, "at most"),
        ("classify", {"labels": ["word " * 199] * 100}, 413, "together"),
        ("classify", {"labels": []}, 422, "empty"),
        ("classify", {"labels": ["cat", "  "]}, 422, "blank"),
        ("classify", {"labels": ["cat", "cat"]}, 422, "twice"),
        ("classify", {"labels": "a" + " b" * 400}, 422, "tokens"),
        ("classify", {"labels": 3}, 422, "labels"),
        ("classify", {"label": "cat"}, 422, "label"),
        ("detect", {"threshold": "NaN"}, 422, "threshold"),
        ("detect", {"threshold": 2}, 422, "threshold"),
        ("answer", {}, 422, "question"),
        ("match", {"texts": []}, 422, "empty"),
        ("fill_mask", {"texts": ["no slot"]}, 422, "[MASK]"),
    ],
)
def test_bad_fields(
    client: TestClient, photo: bytes, verb: str, fields: dict[str, Any], status: int, says: str
) -> None:
    image = base64.b64encode(photo).decode()
    response = client.post(f"/v1/{verb}", content=json.dumps({"image": image} | fields), headers=JSON)
    assert says in refusal(response, status)["message"]


JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", JSON, 422),
        (b"[" * 100_000, JSON, 422),
        (b"\xff\xfe", JSON, 422),
        (b"null", JSON, 422),
        (b"hello", {"content-type": "text/plain"}, 415),
        (b"hello", {}, 415),
        (b"hello", FORM, 400),
        (b"hello", {"content-type": "multipart/form-data"}, 400),
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n" * 2000 + b"--x--\r\n", FORM, 400),
        (b'--x\r\nContent-Disposition: form-data; name="labels"; filename="a"\r\n\r\nb\r\n--x--\r\n', FORM, 422),
        (b'--x\r\nContent-Disposition: form-data; name="labels"\r\n\r\nb\r\n' * 2 + b"--x--\r\n", FORM, 422),
        (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nb\r\n' * 2 + b"--x--\r\n",
            FORM,
            422,
        ),
        (b'--x\r\nContent-Disposition: form-data; name="labels"\r\n\r\nb\r\n' + b"--x\r\nContent-Dispo", FORM, 400),
        (b'--x\r\nContent-Disposition: form-data; name="labels"\r\n\r\nb\r\n--', FORM, 400),
    ],
)
def test_bad_bodies(client: TestClient, content: bytes, headers: dict[str, str], status: int) -> None:
    refusal(client.post("/v1/classify", content=content, headers=headers), status)


def test_an_empty_file_is_no_picture_and_an_unchosen_one_is_left_out(client: TestClient) -> None:
    fields = {"texts": "a [MASK] car"}
    assert "is empty" in refusal(client.post("/v1/fill_mask", data=fields, files={"image": b""}), 422)["message"]
    part = '--x\r\nContent-Disposition: form-data; name="{}\r\n\r\n{}\r\n'
    form = part.format('texts"', fields["texts"]) + part.format('image"; filename=""', "") + "--x--\r\n"
    assert client.post("/v1/fill_mask", content=form, headers=FORM).status_code == 200


def test_what_follows_the_end_of_a_form_does_not_count(client: TestClient) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="texts"\r\n\r\na [MASK] car\r\n--x--\r\nand an epilogue'
    assert client.post("/v1/fill_mask", content=form, headers=FORM).status_code == 200


def test_bodies_of_unknown_length_are_cut_off(client: TestClient) -> None:
    parts = (bytes(2**16) for _ in range(64))
    assert refusal(client.post("/v1/classify", content=parts, headers=FORM), 413)["code"] == "too_large"


@pytest.mark.parametrize("image", ["../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "é", "AAA"])
def test_no_file_of_the_server_can_be_named(client: TestClient, image: str) -> None:
    assert "base64" in refusal(client.post("/v1/classify", json={"image": image}), 422)["message"]


@pytest.mark.parametrize("url", ["http://example.org/a.png", "file:///etc/passwd", "http://127.0.0.1/"])
def test_nothing_is_fetched_unless_allowed(client: TestClient, url: str) -> None:
    assert refusal(client.post("/v1/classify", json={"image_url": url}), 403)["code"] == "urls_not_allowed"


@pytest.mark.parametrize(
    "path", ["/../api.py", "/%2e%2e/api.py", "/..%2fapi.py", "/static/page.js", "/etc/passwd", "/v1/../../x"]
)
def test_only_the_pages_files_can_be_read(client: TestClient, path: str) -> None:
    refusal(client.get(path), 404)


def test_wrong_methods_and_places(client: TestClient) -> None:
    refusal(client.get("/v1/classify"), 405)
    refusal(client.post("/v1/segment"), 404)


def test_a_failure_inside_is_not_shown(client: TestClient, predictor: Predictor, photo: bytes, monkeypatch) -> None:
    monkeypatch.setattr(predictor, "caption", lambda pictures: 1 / 0)
    assert "division" not in str(refusal(post(client, "caption", photo), 500))
    assert post(client, "classify", photo).status_code == 200


def test_health_metrics_and_description(client: TestClient, predictor: Predictor, photo: bytes) -> None:
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    post(client, "classify", photo)
    post(client, "classify", b"?")
    metrics = client.get("/metrics").text
    assert 'uniperceiver_requests_total{status="200",verb="classify"} 1.0' in metrics
    assert 'uniperceiver_requests_total{status="415",verb="classify"} 1.0' in metrics
    assert "uniperceiver_waiting 0.0" in metrics
    described = client.get("/v1/model").json()
    trained = {task.config.kind for task in predictor.checkpoint.tasks.values()}
    assert described["verbs"] == [endpoint.verb for endpoint in ENDPOINTS if endpoint.kind in trained]
    assert set(described["verbs"]) == set(get_args(Verb)) - {"classify_text"}
    assert described["labels"]["classify"] == ["cat", "dog", "tree"]


def test_openapi_describes_every_verb(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for endpoint in ENDPOINTS:
        operation = paths[f"/v1/{endpoint.verb}"]["post"]
        form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert set(form["properties"]) == set(endpoint.takes.model_fields)
        assert endpoint.gives.__name__ in str(operation["responses"]["200"])


def test_pages_come_from_here_alone(client: TestClient) -> None:
    for path in PAGE_FILES:
        response = client.get(f"/{path}")
        assert response.status_code == 200
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        loaded = response.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in loaded
        assert "https://" not in loaded
