"""Reading a request's body within bounds: of size, of time, of number of parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TypeVar

import fastapi
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from uniperceiver.data.images import ImageError
from uniperceiver.serve.errors import ServiceError, invalid, too_large
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.public_addresses import public_opener
from uniperceiver.serve.requests import PictureRequest, Request, Sent, VideoRequest, decode_base64
from uniperceiver.web_files import fetch

Fields = TypeVar("Fields", bound=Request)
MOST_FIELDS = 16
"""Of a form; no endpoint has as many."""
FILES = ("image", "video")
"""Fields that are files in a form and base64 in JSON."""


async def read_request(
    request: fastapi.Request, fields: type[Fields], limits: Limits, allow_urls: bool
) -> tuple[Fields, Sent]:
    """The fields of a request, and its picture or video if it has one.

    Raises:
        ServiceError: 400, 408, 413, 415 or 422; 403 for an address where these are not fetched.
        ImageError: an address gives no picture, or not in time.
    """
    try:
        body = await asyncio.wait_for(_read(request, limits.upload_bytes), limits.seconds)
    except TimeoutError:
        message = f"the request took longer than {limits.seconds:g} seconds to arrive"
        raise ServiceError(408, "too_slow", message, "send less, or over a faster connection") from None
    except ClientDisconnect:  # nobody reads this, but it is counted
        raise ServiceError(400, "broken_off", "the request broke off", "send all of it") from None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    uploads: dict[str, bytes] = {}
    if kind == "application/json":
        asked = _from_json(body, fields)
    elif kind == "multipart/form-data":
        asked, uploads = await _from_form(request, body, fields, limits)
    else:
        message = f"the content type {kind or 'of the request'} is not known"
        raise ServiceError(415, "unknown_content_type", message, "send multipart/form-data or application/json")
    if not isinstance(asked, PictureRequest):
        return asked, Sent()
    return asked, await _sent(asked, uploads, limits, allow_urls)


async def _read(request: fastapi.Request, most: int) -> bytes:
    announced = request.headers.get("content-length", "")
    change = "make the picture or video smaller, or raise the server's --upload-mib"
    if announced.isdecimal() and int(announced) > most:
        raise too_large(f"the request has {announced} bytes, at most {most} are taken", change)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise too_large(f"the request has more than the {most} bytes that are taken", change)
    return bytes(body)


def _from_json(body: bytes, fields: type[Fields]) -> Fields:
    try:
        return fields.model_validate_json(body)
    except ValidationError as error:
        raise _what_is_wrong(error) from None


async def _from_form(
    request: fastapi.Request, body: bytes, fields: type[Fields], limits: Limits
) -> tuple[Fields, dict[str, bytes]]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers, once(), max_files=MOST_FIELDS, max_fields=MOST_FIELDS, max_part_size=limits.upload_bytes
    )
    try:
        _, parameters = parse_options_header(request.headers["content-type"])
        boundary = parameters.get(b"boundary")  # of a form without one the parser says so
        if boundary and b"--" + boundary + b"--" not in body:  # the parser would leave out the part that breaks off
            raise MultiPartException("It has no end.")
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        message = f"the form cannot be read: {error}"
        change = "send whole multipart/form-data with its boundary and each field once"
        raise ServiceError(400, "broken_form", message, change) from None
    try:
        values, uploads = await _parts(form, fields)
    finally:
        await form.close()
    try:
        return fields.model_validate(values), uploads
    except ValidationError as error:
        raise _what_is_wrong(error) from None


async def _parts(form: FormData, fields: type[Request]) -> tuple[dict[str, str], dict[str, bytes]]:
    """The fields of a form, without those left empty, and its file, likewise, by its name."""
    uploads: dict[str, bytes] = {}
    values: dict[str, str] = {}
    for name, value in form.multi_items():
        if name in values or name in uploads:
            raise invalid(f"the field {name:.80} is given twice", "give it once; a list goes into one field")
        if isinstance(value, str):
            values |= {name: value} if value else {}
        elif name in FILES and name in fields.model_fields:
            if content := await value.read():
                uploads[name] = content
            elif value.filename:  # without a name it is what browsers send for a file that was not chosen
                raise invalid(f"the file in the field {name} is empty", "send the whole file")
        else:
            change = "send texts as texts, the picture as image, a video, where one is taken, as video"
            raise invalid(f"the field {name:.80} is a file", change)
    return values, uploads


async def _sent(asked: PictureRequest, uploads: Mapping[str, bytes], limits: Limits, allow_urls: bool) -> Sent:
    video = asked.video if isinstance(asked, VideoRequest) else None
    given = [part is not None for part in (*uploads.values(), asked.image, asked.image_url, video)]
    if sum(given) > 1:
        message = "the picture is given more than once, or with a video"
        raise invalid(message, "give one of: a picture or video as a file, as base64, the address of a picture")
    if asked.image is not None:
        return Sent(picture=decode_base64(asked.image, "image"))
    if video is not None:
        return Sent(video=decode_base64(video, "video"))
    if asked.image_url is None:
        return Sent(picture=uploads.get("image"), video=uploads.get("video"))
    if not allow_urls:
        message = "this server fetches nothing"
        raise ServiceError(403, "urls_not_allowed", message, "send the picture itself, or start it with --allow-urls")
    return Sent(picture=await _fetch(asked.image_url, limits))


async def _fetch(url: str, limits: Limits) -> bytes:
    fetching = asyncio.to_thread(fetch, url, limits.upload_bytes, limits.seconds, public_opener())
    try:
        return await asyncio.wait_for(fetching, limits.seconds)
    except TimeoutError:
        # `fetch` gives each host on the way this long; the thread ends by itself when that is over.
        raise ImageError(f"{url} took longer than {limits.seconds:g} seconds") from None


def _what_is_wrong(error: ValidationError) -> ServiceError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))[:100]
    message = f"{place}: {first['msg']}" if place else str(first["msg"])
    return invalid(message[:500], "see /openapi.json for the fields of each endpoint")
