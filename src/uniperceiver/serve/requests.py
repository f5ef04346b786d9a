"""What a request may say, and how it becomes a `Question`.

A request is a form (``multipart/form-data``) with the picture or video as a file, or JSON with it in base64. Both have
the same fields. Nothing in them is a path: no file of the server can be named.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import struct
import warnings
from dataclasses import dataclass
from typing import Annotated, Any

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from uniperceiver.serve.errors import ServiceError, invalid, too_large
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.questions import Question, Verb

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Of pictures. Pillow knows more, some of which start other programs."""


def _listed(given: Any) -> Any:
    """A form's single text as a list: JSON's list, lines, or names with commas between them."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        try:
            return json.loads(given)
        except (ValueError, RecursionError):
            return [given]
    parts = given.splitlines() if "\n" in given else given.split(",")
    return [part.strip() for part in parts if part.strip()]


def _lines(given: Any) -> Any:
    """As `_listed`, for texts that may hold commas."""
    is_list = not isinstance(given, str) or given.lstrip().startswith("[")
    return _listed(given) if is_list else [line.strip() for line in given.splitlines() if line.strip()]


NAMES = "In a form: names with commas between them, one a line, or a JSON list: `cat, red car`."
LINES = "In a form: one a line, or a JSON list."
AS_FILE = "a file in a form, base64 in JSON."
Names = Annotated[list[str], BeforeValidator(_listed)]
Lines = Annotated[list[str], BeforeValidator(_lines)]


class Request(BaseModel):
    """The fields of a request."""

    model_config = ConfigDict(extra="forbid")

    def own_texts(self) -> list[str]:
        """What is said about this picture alone."""
        return []

    def second_texts(self) -> list[str]:
        """What stands beside each of these, in their order."""
        return []

    def candidates(self) -> list[str] | None:
        """What is compared with."""
        return None


class PictureRequest(Request):
    """A request about one picture."""

    image: str | None = Field(None, description=f"The picture: {AS_FILE}")
    image_url: str | None = Field(None, description="An http(s) address instead, where the server allows it.")


class VideoRequest(PictureRequest):
    """A request about one picture or video."""

    video: str | None = Field(None, description=f"A video instead, where the model takes them: {AS_FILE}")


@dataclass(frozen=True)
class Sent:
    """What a request is about, encoded: a picture, or a video, or nothing."""

    picture: bytes | None = None
    video: bytes | None = None


class LabelsRequest(PictureRequest):
    """A request about one picture and names."""

    labels: Names | None = Field(None, description=f"Class names. Default: as trained. {NAMES}")

    def candidates(self) -> list[str] | None:
        """The labels."""
        return self.labels


class ClassifyRequest(LabelsRequest, VideoRequest):
    """What does the picture or video show?"""


class DetectRequest(LabelsRequest):
    """Which objects are where?"""

    threshold: float = Field(0.1, ge=0, le=1, description="Lowest score of an object.")
    masks: bool = Field(True, description="Also masks, as COCO's uncompressed run lengths.")


class CaptionRequest(VideoRequest):
    """Say in a sentence what the picture or video shows."""


class MatchRequest(VideoRequest):
    """How well do texts fit the picture or video?"""

    texts: Lines = Field(description=f"The texts. {LINES}")

    def candidates(self) -> list[str] | None:
        """The texts."""
        return self.texts


class AnswerRequest(PictureRequest):
    """Answer a question about the picture."""

    question: str = Field(description="The question.")
    answers: Names | None = Field(None, description=f"Possible answers. Default: as trained. {NAMES}")

    def own_texts(self) -> list[str]:
        """The question."""
        return [self.question]

    def candidates(self) -> list[str] | None:
        """The answers."""
        return self.answers


class FillMaskRequest(PictureRequest):
    """Fill in the missing words of texts, perhaps about a picture."""

    texts: Lines = Field(description=f"Texts with `[MASK]` where a word is missing. {LINES}")

    def own_texts(self) -> list[str]:
        """The texts."""
        return self.texts


class EmbedImageRequest(VideoRequest):
    """Turn the picture or video into a vector of unit length."""


class EmbedTextRequest(Request):
    """Turn texts into vectors of unit length; their products with a picture's are cosines."""

    texts: Lines = Field(description=f"The texts. {LINES}")

    def own_texts(self) -> list[str]:
        """The texts."""
        return self.texts


class ClassifyTextRequest(Request):
    """Of which class are texts, or pairs of texts?"""

    texts: Lines = Field(description=f"The texts. {LINES}")
    second: Lines = Field([], description=f"Of pairs, the second text: one for all, or one for each. {LINES}")
    labels: Names | None = Field(None, description=f"Classes, or words for them. Default: as trained. {NAMES}")
    task: str | None = Field(None, description="Which, where the model was trained for several.")

    def own_texts(self) -> list[str]:
        """The texts."""
        return self.texts

    def second_texts(self) -> list[str]:
        """The second of each pair; 422 where there are neither as many as texts nor one."""
        second = self.second * len(self.texts) if len(self.second) == 1 else self.second
        if second and len(second) != len(self.texts):
            message = f"{len(second)} second texts for {len(self.texts)} texts"
            raise invalid(message, "give one for all, or one for each")
        return second

    def candidates(self) -> list[str] | None:
        """The labels."""
        return self.labels


def to_question(verb: Verb, request: Request, sent: Sent, limits: Limits) -> Question:
    """A request within all limits; its video is not looked at.

    Raises:
        ServiceError: 413 or 422, it is not.
    """
    own, second, candidates = request.own_texts(), request.second_texts(), request.candidates()
    _check_texts([*own, *second, *(candidates or ())], limits)
    if sent == Sent() and isinstance(request, PictureRequest) and not isinstance(request, FillMaskRequest):
        raise invalid("there is no picture", f"send one in the field image: {AS_FILE}")
    if not own and isinstance(request, FillMaskRequest | EmbedTextRequest | ClassifyTextRequest):
        raise invalid("there are no texts", "give at least one in the field texts")
    if candidates is not None and not candidates:
        raise invalid("the list to choose from is empty", "give at least one text in it")
    return Question(
        verb,
        picture=sent.picture,
        pixels=0 if sent.picture is None else check_picture(sent.picture, limits),
        texts=tuple(own),
        second=tuple(second),
        task=request.task if isinstance(request, ClassifyTextRequest) else None,
        candidates=None if candidates is None else tuple(candidates),
        threshold=request.threshold if isinstance(request, DetectRequest) else 0.0,
        masks=request.masks if isinstance(request, DetectRequest) else True,
    )


def decode_base64(text: str, field: str) -> bytes:
    """The bytes of base64, with a ``data:`` address's beginning or without; 422 for anything else."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = f"the field {field} is not base64"
        raise invalid(message, "encode the file's bytes in base64, or send it as the file of a form") from None


def check_picture(data: bytes, limits: Limits) -> int:
    """The number of pixels of an encoded picture, by its header: nothing is decoded.

    Raises:
        ServiceError: 415 for what is no picture, 413 for one with more pixels than ``limits.pixels``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                pixels = image.width * image.height
    except Image.DecompressionBombError as error:
        raise too_large(f"the picture: {error}", "make it smaller") from None
    except UnidentifiedImageError:
        message = "the file is not a picture in a format that is read here"
        raise ServiceError(
            415, "not_a_picture", message, "send a JPEG, PNG, WebP, BMP, GIF or TIFF, a video as video"
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise ServiceError(415, "not_a_picture", f"the picture is broken: {error}", "send a whole picture") from None
    if pixels > limits.pixels:
        message = f"the picture has {pixels} pixels, at most {limits.pixels} are taken"
        raise too_large(message, "make it smaller, or raise the server's --pixels")
    return pixels


def _check_texts(texts: list[str], limits: Limits) -> None:
    if len(texts) > limits.labels:
        message = f"{len(texts)} texts were given, at most {limits.labels} are taken"
        raise too_large(message, "give fewer, or raise the server's --labels")
    longest = max((len(text) for text in texts), default=0)
    if longest > limits.text_characters:
        message = f"a text has {longest} characters, at most {limits.text_characters} are taken"
        raise too_large(message, "shorten it, or raise the server's --text-characters")
    total = sum(map(len, texts))
    if total > limits.all_characters:
        message = f"all texts together have {total} characters, at most {limits.all_characters} are taken"
        raise too_large(message, "give fewer or shorter ones, or raise the server's --all-characters")
    if any(not text.strip() for text in texts):
        raise invalid("a text is blank", "give every text at least a word")
