"""The responses of the API, as OpenAPI describes them."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from digits.segmentation import Reason

Probability = Annotated[float, Field(ge=0, le=1)]
Box = Annotated[
    list[int],
    Field(min_length=4, max_length=4, description="left, top, right, bottom in pixels; right and bottom are exclusive"),
]


class Digit(BaseModel):
    """A recognised digit."""

    digit: int = Field(ge=0, le=9)
    probability: Probability
    probabilities: list[Probability] = Field(min_length=10, max_length=10, description="of the digits 0 to 9")
    box: Box


class Rejected(BaseModel):
    """Ink that was not read as a digit."""

    box: Box
    digitness: Probability | None = Field(
        description="how much the ink looks like a digit; null if the model was not asked"
    )
    reason: Reason


class Prediction(BaseModel):
    """The digits in a picture, in reading order; empty if no digits were found. And other ink, with the reason."""

    text: str = Field(pattern="^[0-9]*$")
    digits: list[Digit]
    rejected: list[Rejected]
    images: list[str] | None = Field(
        default=None, description="with `images=true`: the model input for each digit, a 28x28 PNG in base64"
    )


class Error(BaseModel):
    """Why the request failed."""

    error: str


class Status(BaseModel):
    """The status of the service."""

    status: str


class ModelMetadata(BaseModel):
    """The content of model.json. Further keys depend on the kind of model."""

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
            "box": [12, 8, 31, 40],
        }
    ],
    "rejected": [{"box": [50, 10, 66, 38], "digitness": 0.0214, "reason": "not a digit"}],
}

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The body is incomplete, too slow, or an invalid form"},
    413: {"model": Error, "description": "Too many bytes or pixels"},
    415: {"model": Error, "description": "Not one of the supported formats"},
    422: {"model": Error, "description": "A broken, empty or animated picture, or an invalid parameter"},
    429: {"model": Error, "description": "Too many requests from one client; see Retry-After"},
    503: {"model": Error, "description": "The service is overloaded; see Retry-After"},
}

PICTURE = {"type": "string", "format": "binary"}
FORM = {"type": "object", "required": ["file"], "properties": {"file": PICTURE}}
REQUEST: dict[str, Any] = {
    "parameters": [
        {
            "name": "images",
            "in": "query",
            "description": "whether to return the model input for each digit",
            "schema": {"type": "string", "enum": ["true", "false"], "default": "false"},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "The picture, or a form with the picture as `file`",
        "content": {kind: {"schema": PICTURE} for kind in ("image/png", "image/jpeg", "image/webp", "image/bmp")}
        | {"multipart/form-data": {"schema": FORM}},
    },
}
