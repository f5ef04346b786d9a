"""What a server answers when it does not do what it was asked."""

from __future__ import annotations

from pydantic import BaseModel


class Refusal(BaseModel):
    """Why a request was not answered."""

    code: str
    """The kind of mistake, for programs."""
    message: str
    """What was wrong, for people."""
    change: str
    """What to do about it."""


class RefusalBody(BaseModel):
    """The body of every answer whose status is 4xx or 5xx."""

    error: Refusal


class ServiceError(Exception):
    """A request that is refused, with the status of the answer."""

    def __init__(self, status: int, code: str, message: str, change: str) -> None:
        super().__init__(message)
        self.status = status
        self.refusal = Refusal(code=code, message=message, change=change)


def invalid(message: str, change: str = "correct the request") -> ServiceError:
    """422: understood, but it makes no sense to the model."""
    return ServiceError(422, "invalid_request", message, change)


def queue_full(waiting: int) -> ServiceError:
    """503: as many wait already as may."""
    message = f"{waiting} requests are waiting already"
    return ServiceError(503, "queue_full", message, "ask again in a few seconds, or raise --queue")


def too_large(message: str, change: str) -> ServiceError:
    """413: above one of the `Limits`."""
    return ServiceError(413, "too_large", message, change)
