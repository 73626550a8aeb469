"""What can go wrong between a request and its answer, and between a folder and its model.

One small tree. Each error knows the HTTP status that it means and carries a sentence that is safe to show
to a caller; `web.problems` turns it into a response. This module knows nothing of HTTP beyond the number.
"""

from __future__ import annotations

from typing import ClassVar


class ServingError(Exception):
    """A request that cannot be answered as asked.

    Attributes:
        status: The HTTP status code.
        slug: The last part of the problem's `type`, stable for clients to compare.
        title: The problem's `title`, the same for every occurrence.
        detail: What happened this time, safe to show.
        model: The model's name, where one is meant.
        retry_after_seconds: When it is worth trying again, for a 503.
        members: Further members of the problem document.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        model: str | None = None,
        retry_after_seconds: int | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.model = model
        self.retry_after_seconds = retry_after_seconds
        self.members = members


class ModelUnknown(ServingError):
    """No model folder has this name."""

    status = 404
    slug = "model-unknown"
    title = "No such model"


class VariablesInvalid(ServingError):
    """The `variables` do not fit the model's signature; `errors` lists each field."""

    status = 422
    slug = "variables-invalid"
    title = "The variables do not fit the model"


class ModelRaised(ServingError):
    """The model's own code raised; the traceback is in the log."""

    slug = "model-raised"
    title = "The model raised an error"


class ResultInvalid(ServingError):
    """The model returned something that is no dict or cannot be written as JSON."""

    slug = "result-invalid"
    title = "The model returned something that is not a JSON object"


class Unavailable(ServingError):
    """The model or the server cannot take this call now; nothing was run."""

    status = 503
    slug = "unavailable"
    title = "Not available"


class ModelNotLoaded(Unavailable):
    """The model's folder is there, but no version of it ever loaded."""

    slug = "model-not-loaded"
    title = "The model has no version that loads"


class Overloaded(Unavailable):
    """Every slot and every place in the queue is taken, or the wait took the whole deadline."""

    slug = "overloaded"
    title = "Too many calls at once"


class DeadlineExceeded(ServingError):
    """The model did not answer in time; its call goes on and its result is dropped."""

    status = 504
    slug = "deadline-exceeded"
    title = "The model did not answer in time"


class LoadError(Exception):
    """A folder that cannot become a live model; the message says what to do, and shows in the status."""
