"""The HTTP interface: an endpoint for each verb, health, metrics, the page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from uniperceiver.config import TaskKind
from uniperceiver.data.images import ImageError
from uniperceiver.predictor import Predictor
from uniperceiver.predictor.videos import VideoReader
from uniperceiver.serve import requests, responses
from uniperceiver.serve.bodies import FILES, read_request
from uniperceiver.serve.desk import Desk
from uniperceiver.serve.errors import Refusal, RefusalBody, ServiceError
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.metrics import Metrics
from uniperceiver.serve.questions import Json, Question, Verb
from uniperceiver.serve.videos import VideoDecoder, video_reader

PAGE_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    "docs": ("docs.html", "text/html; charset=utf-8"),
    "docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
"""Path → file of the package and its type: all that can be read."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LABELS_SHOWN = 100
"""Of the candidates that a model was trained with."""


@dataclass(frozen=True)
class Endpoint:
    """A verb, what it takes, what it gives, and the kind of task that answers it."""

    verb: Verb
    takes: type[requests.Request]
    gives: type[BaseModel]
    kind: TaskKind

    def video_reader(self, predictor: Predictor) -> VideoReader | None:
        """How videos are looked at; None: they are not taken."""
        return video_reader(predictor, self.kind) if issubclass(self.takes, requests.VideoRequest) else None


ENDPOINTS = (
    Endpoint("classify", requests.ClassifyRequest, responses.Classified, "classification"),
    Endpoint("detect", requests.DetectRequest, responses.Detected, "detection"),
    Endpoint("caption", requests.CaptionRequest, responses.Captioned, "captioning"),
    Endpoint("match", requests.MatchRequest, responses.Matched, "retrieval"),
    Endpoint("answer", requests.AnswerRequest, responses.Answered, "visual_question_answering"),
    Endpoint("fill_mask", requests.FillMaskRequest, responses.FilledTexts, "masked_language_modeling"),
    Endpoint("embed_image", requests.EmbedImageRequest, responses.ImageEmbedding, "retrieval"),
    Endpoint("embed_text", requests.EmbedTextRequest, responses.TextEmbeddings, "retrieval"),
    Endpoint("classify_text", requests.ClassifyTextRequest, responses.ClassifiedTexts, "text_classification"),
)


def create_app(predictor: Predictor, name: str, limits: Limits, allow_urls: bool = False) -> FastAPI:
    """The application, which answers with ``predictor`` as long as it runs and calls it ``name``."""
    metrics = Metrics()
    desk, decoder = Desk(predictor, limits, metrics), VideoDecoder(limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(desk.close)
        await asyncio.to_thread(decoder.close)

    app = FastAPI(
        title="uniperceiver",
        description="One model, one set of weights, every verb. A request is a form with the picture or video as a "
        "file, or JSON with it in base64.",
        version=version("uniperceiver"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load programs from elsewhere: /docs is ours
        redoc_url=None,
    )
    _add_errors(app)
    _add_headers(app)
    for endpoint in ENDPOINTS:
        _add_verb(app, endpoint, desk, decoder, allow_urls)
    _add_health(app, desk)
    _add_description(app, predictor, name, allow_urls)
    for path, (file, kind) in PAGE_FILES.items():
        app.add_api_route(f"/{path}", _file(file, kind), include_in_schema=False)
    return app


def _add_verb(app: FastAPI, endpoint: Endpoint, desk: Desk, decoder: VideoDecoder, allow_urls: bool) -> None:
    metrics, limits = desk.metrics, desk.limits
    reader = endpoint.video_reader(desk.predictor)

    async def ask(question: Question, video: bytes | None) -> Json:
        if video is None:
            return await asyncio.wrap_future(desk.submit(question))
        views = await decoder.views(video, reader)
        return await asyncio.wrap_future(desk.submit(replace(question, video=views, pixels=views.numel() // 3)))

    async def answer(request: Request) -> JSONResponse:
        start, status = time.perf_counter(), 500
        try:
            asked, sent = await read_request(request, endpoint.takes, limits, allow_urls)
            question = requests.to_question(endpoint.verb, asked, sent, limits)
            found = await _wait(ask(question, sent.video), limits.seconds)
            status = 200
            return JSONResponse(found)
        except ServiceError as error:
            status = error.status
            raise
        except ImageError as error:
            status = 422
            raise ServiceError(422, "invalid_request", str(error), "send the picture itself") from None
        finally:
            metrics.requests.labels(endpoint.verb, str(status)).inc()
            metrics.request_seconds.labels(endpoint.verb).observe(time.perf_counter() - start)

    app.add_api_route(
        f"/v1/{endpoint.verb}",
        answer,
        methods=["POST"],
        name=endpoint.verb,
        summary=(endpoint.takes.__doc__ or "").splitlines()[0],
        response_model=endpoint.gives,
        responses={status: {"model": RefusalBody} for status in (403, 408, 413, 415, 422, 503, 504)},
        openapi_extra=_body(endpoint.takes),
    )


async def _wait(answer: Awaitable[Json], seconds: float) -> Json:
    """What the model answers; 504 if it takes longer, and then the question leaves the queue."""
    try:
        found = await asyncio.wait_for(answer, seconds)
    except TimeoutError:
        message = f"there was no answer within {seconds:g} seconds"
        raise ServiceError(504, "too_slow", message, "ask again, ask for less, or raise --seconds") from None
    return found


def _body(fields: type[requests.Request]) -> dict[str, Any]:
    """The request's body for the OpenAPI document: the same fields as a form and as JSON."""
    as_json = fields.model_json_schema()
    as_form = fields.model_json_schema()
    for name, field in as_form["properties"].items():
        if name in FILES:
            as_form["properties"][name] = {"type": "string", "format": "binary", "description": field["description"]}
    content = {"multipart/form-data": {"schema": as_form}, "application/json": {"schema": as_json}}
    return {"requestBody": {"required": True, "content": content}}


def _add_health(app: FastAPI, desk: Desk) -> None:
    @app.get("/healthz", summary="Whether the process answers.")
    async def healthz() -> responses.Health:
        return responses.Health(status="ok")

    @app.get("/readyz", summary="Whether it takes questions.", responses={503: {"model": RefusalBody}})
    async def readyz() -> responses.Health:
        if not desk.is_ready:
            raise ServiceError(503, "stopping", "the server is stopping", "ask another server")
        return responses.Health(status="ok")

    @app.get("/metrics", summary="Prometheus metrics.", response_class=Response)
    async def metrics() -> Response:
        return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_description(app: FastAPI, predictor: Predictor, name: str, allow_urls: bool) -> None:
    trained = {task.config.kind for task in predictor.checkpoint.tasks.values()}
    known = [endpoint for endpoint in ENDPOINTS if endpoint.kind in trained]
    described = responses.ModelDescription(
        name=name,
        verbs=[endpoint.verb for endpoint in known],
        videos=[endpoint.verb for endpoint in known if endpoint.video_reader(predictor) is not None],
        labels={
            endpoint.verb: list(predictor.labels(endpoint.kind)[:LABELS_SHOWN])
            for endpoint in known
            if {"labels", "answers"} & set(endpoint.takes.model_fields)
        },
        allows_urls=allow_urls,
    )

    @app.get("/v1/model", summary="What is served.")
    async def model() -> responses.ModelDescription:
        return described


def _file(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    content = files("uniperceiver.serve").joinpath("static", name).read_bytes()

    async def send() -> Response:
        return Response(content, media_type=kind)

    return send


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> JSONResponse:
        headers = {"Retry-After": "2"} if error.status == 503 else None
        return JSONResponse(RefusalBody(error=error.refusal).model_dump(), error.status, headers)

    @app.exception_handler(HTTPException)
    async def not_there(_: Request, error: HTTPException) -> JSONResponse:
        refusal = Refusal(code=f"http_{error.status_code}", message=error.detail, change="see /openapi.json")
        return JSONResponse(RefusalBody(error=refusal).model_dump(), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        message = "the server failed; its log says why"
        refusal = Refusal(code="internal", message=message, change="report it to whoever runs the server")
        return JSONResponse(RefusalBody(error=refusal).model_dump(), 500)


def _add_headers(app: FastAPI) -> None:
    @app.middleware("http")
    async def protect(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await go_on(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response
