"""The forms of all answers, as OpenAPI describes them."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

Probability = Annotated[float, Field(ge=0, le=1)]


class Digit(BaseModel):
    """One digit of a picture."""

    digit: int = Field(ge=0, le=9)
    probability: Probability
    probabilities: list[Probability] = Field(min_length=10, max_length=10, description="of the digits 0 to 9")
    box: list[int] = Field(
        min_length=4, max_length=4, description="left, top, right, bottom in pixels; the last two are just outside"
    )


class Reading(BaseModel):
    """What was read in a picture, left to right; nothing where there is no digit."""

    text: str = Field(pattern="^[0-9]*$")
    digits: list[Digit]
    images: list[str] | None = Field(
        default=None, description="with `images=true`: what the model saw of each digit, a PNG of 28x28 in base64"
    )


class Problem(BaseModel):
    """Why there is no other answer."""

    error: str


class State(BaseModel):
    """That the service runs, or is ready for requests."""

    status: str


class Card(BaseModel):
    """model.json of the model that answers; its other keys depend on the kind of model."""

    model_config = {"extra": "allow"}

    name: str
    sha256: str


EXAMPLE: dict[str, Any] = {
    "text": "7",
    "digits": [
        {
            "digit": 7,
            "probability": 0.9982,
            "probabilities": [0.0, 0.0003, 0.0005, 0.0002, 0.0001, 0.0, 0.0, 0.9982, 0.0001, 0.0006],
            "box": [0, 0, 28, 28],
        }
    ],
}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not whole, too slow, or a form that cannot be read"},
    413: {"model": Problem, "description": "Too many bytes or pixels"},
    415: {"model": Problem, "description": "Not one of the formats that are read"},
    422: {"model": Problem, "description": "A broken, empty or animated picture, or a wrong parameter"},
    429: {"model": Problem, "description": "Too many requests of one client; Retry-After says how long to wait"},
    503: {"model": Problem, "description": "Too much to do at the moment; Retry-After says how long to wait"},
}

PICTURE = {"type": "string", "format": "binary"}
FORM = {"type": "object", "required": ["file"], "properties": {"file": PICTURE}}
REQUEST: dict[str, Any] = {
    "parameters": [
        {
            "name": "images",
            "in": "query",
            "description": "whether to answer with what the model saw, too",
            "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "The picture itself, or a form with the picture as `file`",
        "content": {kind: {"schema": PICTURE} for kind in ("image/png", "image/jpeg", "image/webp", "image/bmp")}
        | {"multipart/form-data": {"schema": FORM}},
    },
}
