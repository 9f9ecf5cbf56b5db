import asyncio
import base64
import io
import json
import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from digits.model import Classifier
from digits.server import schemas, uploads
from digits.server.app import Service
from digits.server.limits import Limits, RefusedError
from tests.digits.conftest import ROOT
from tests.digits.server.conftest import Client, saved, seven, star

EXAMPLES = int(os.environ.get("FUZZ", "40"))  # of Hypothesis, per test
REFUSED = {400, 413, 415, 422}


@pytest.fixture(scope="module")
def client(service: Service) -> Client:
    return Client(service)


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90 degrees clockwise
    return saved(seven().rotate(90, expand=True), "JPEG", exif=exif)


def transparent() -> Image.Image:
    """Return a 7 in black ink on transparent black pixels."""
    image = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    image.putalpha(ImageOps.invert(seven()))
    return image


def sixteen() -> bytes:
    return saved(Image.fromarray(np.asarray(seven(), np.uint16) * 257))


VALID = {
    "png": saved(seven()),
    "white on black": saved(ImageOps.invert(seven())),
    "as small as MNIST": saved(seven(28)),
    "colours": saved(seven().convert("RGB"), "JPEG"),
    "CMYK": saved(seven().convert("CMYK"), "JPEG"),
    "palette": saved(seven().convert("P")),
    "palette with transparency": saved(transparent().convert("PA").convert("RGBA").quantize(), "PNG", transparency=0),
    "one bit": saved(seven().convert("1")),
    "one bit bmp": saved(seven().convert("1"), "BMP"),
    "sixteen bits": sixteen(),
    "webp": saved(seven().convert("RGB"), "WEBP", lossless=True),
    "black ink on transparent black": saved(transparent()),
    "grey and alpha": saved(transparent().convert("LA")),
    "rotated by EXIF": rotated(),
}


@pytest.mark.parametrize("name", VALID)
def test_pictures_of_every_kind_are_recognised(client: Client, name: str) -> None:
    response = client.post("/predict", content=VALID[name])
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["text"] == "7"
    digit = found["digits"][0]
    assert digit["probability"] == max(digit["probabilities"]) == digit["probabilities"][7]
    assert sum(digit["probabilities"]) == pytest.approx(1, abs=0.001)
    left, top, right, bottom = digit["box"]
    assert 0 <= left < right
    assert 0 <= top < bottom


def test_rejected_ink_is_returned_with_a_reason(client: Client) -> None:
    found = client.post("/predict", content=saved(star())).json()
    assert (found["text"], found["digits"]) == ("", [])
    (rejected,) = found["rejected"]
    schemas.Rejected.model_validate(rejected)
    assert rejected["reason"] == "not a digit"
    assert 0 <= rejected["digitness"] < 0.5


def test_a_form_and_a_plain_body_give_the_same_answer(client: Client) -> None:
    body = client.post("/predict", content=VALID["png"], headers={"content-type": "image/png"})
    form = client.post("/predict", files={"file": ("seven.png", VALID["png"], "image/png")}, data={"note": "hello"})
    assert form.status_code == 200, form.text
    assert form.json() == body.json()


def test_model_inputs_are_returned_on_request(client: Client) -> None:
    assert "images" not in client.post("/predict?images=false", content=VALID["as small as MNIST"]).json()
    found = client.post("/predict?images=true", content=VALID["as small as MNIST"]).json()
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["images"][0]))))
    assert seen.shape == (28, 28)
    assert np.corrcoef(seen.ravel(), 255 - np.asarray(seven(28)).ravel())[0, 1] > 0.5
    assert client.post("/predict?images=perhaps", content=VALID["png"]).status_code == 422


def test_probabilities_are_those_of_the_model_file(client: Client) -> None:
    """The reference is ONNX Runtime alone, on the returned model inputs."""
    session = onnxruntime.InferenceSession(ROOT / "models/best/model.onnx")
    for name in ("png", "as small as MNIST", "colours"):
        found = client.post("/predict?images=true", content=VALID[name]).json()
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["images"][0]))), np.float32) / 255
        probabilities = session.run(None, {"images": seen[None, None]})[0][0]
        assert found["digits"][0]["probabilities"] == pytest.approx(probabilities.tolist(), abs=2e-3)


def frames(kind: str) -> bytes:
    return saved(seven().convert("RGB"), kind, save_all=True, append_images=[seven(100).rotate(90).convert("RGB")])


def huge() -> bytes:
    """Return a PNG of 145 megapixels in 18 KB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 12_000, 12_100, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((12_000 // 8 + 1) * 12_100), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def huge_webp() -> bytes:
    """Return a lossless WebP of 16383x16383 pixels that ends after its header."""
    size = (16_382 | 16_382 << 14).to_bytes(4, "little")
    content = b"\x2f" + size + bytes(15)
    body = b"WEBPVP8L" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(content: str) -> tuple[bytes, str]:
    return content.replace("\n", "\r\n").encode(), "multipart/form-data; boundary=x"


INVALID = {
    "empty": (b"", "", 422, "found an empty file"),
    "text": (b"seven", "", 415, "expected a picture (PNG, JPEG, WEBP, BMP)"),
    "text, declared as such": (b"seven", "text/plain", 415, "found text/plain"),
    "json": (b"{}", "application/json", 415, "found application/json"),
    "text, declared as a picture": (b"seven", "image/png", 415, "found something else"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415, "found something else"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "", 415, "found something else"),
    "gif": (saved(seven(), "GIF"), "", 415, "found something else"),
    "animated gif": (frames("GIF"), "", 415, "found something else"),
    "animated webp": (frames("WEBP"), "", 422, "expected one frame, found an animation of 2"),
    "animated png": (frames("PNG"), "", 422, "expected one frame, found an animation of 2"),
    "float tiff": (saved(Image.new("F", (9, 9)), "TIFF"), "", 415, "found something else"),
    "truncated png": (VALID["png"][:60], "", 422, "broken"),
    "truncated jpeg": (VALID["colours"][:-300], "", 422, "broken"),
    "truncated webp": (VALID["webp"][:-30], "", 422, "broken"),
    "truncated bmp": (VALID["one bit bmp"][:-300], "", 422, "broken"),
    "decompression bomb": (huge(), "", 413, "expected at most 4,000,000 pixels, found 12000x12100"),
    "decompression bomb, WebP": (huge_webp(), "", 413, "expected at most 4,000,000 pixels"),
    "just too large": (saved(Image.new("1", (2_001, 2_000))), "", 413, "found 2001x2000"),
    "form without a boundary": (b"", "multipart/form-data", 400, "expected a boundary"),
    "invalid form": (*form("seven"), 400, "expected multipart/form-data"),
    "form without a file": (
        *form('--x\nContent-Disposition: form-data; name="note"\n\nhi\n--x--\n'),
        422,
        "in the field `file`, found 0",
    ),
    "form with two files": (
        *form('--x\nContent-Disposition: form-data; name="file"; filename="a"\n\nhi\n' * 2 + "--x--\n"),
        422,
        "found 2",
    ),
    "form with an empty file": (
        *form('--x\nContent-Disposition: form-data; name="file"; filename="a"\n\n\n--x--\n'),
        422,
        "an empty file",
    ),
    "long boundary": (b"", f"multipart/form-data; boundary={'x' * 5000}", 400, "expected multipart/form-data"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as in the command digits-serve
@pytest.mark.parametrize("name", INVALID)
def test_invalid_uploads_are_refused_with_a_reason(client: Client, name: str) -> None:
    content, kind, status, message = INVALID[name]
    response = client.post("/predict", content=content, headers={"content-type": kind} if kind else {})
    assert response.status_code == status, response.text
    assert response.json().keys() == {"error"}
    assert message in response.json()["error"]


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 2), (28, 1), (2_000, 2_000)])
@pytest.mark.parametrize("colour", [0, 255])
def test_a_blank_picture_has_no_digits(client: Client, size: tuple[int, int], colour: int) -> None:
    response = client.post("/predict?images=true", content=saved(Image.new("L", size, colour)))
    assert response.status_code == 200, response.text
    assert response.json() == {"text": "", "digits": [], "rejected": [], "images": []}


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    """Yield `content` in parts, which httpx sends without a Content-Length."""
    for start in range(0, len(content), 9_999):
        yield content[start : start + 9_999]


def test_a_body_may_have_at_most_one_mebibyte(client: Client) -> None:
    for extra, status in ((0, 200), (1, 413)):
        padded = VALID["png"] + bytes((1 << 20) - len(VALID["png"]) + extra)
        response = client.post("/predict", content=padded)
        assert response.status_code == status, response.text
        assert client.post("/predict", content=chunks(padded)).status_code == status


def test_an_endless_body_is_neither_stored_nor_received_forever() -> None:
    parts = 0

    async def receive() -> dict[str, object]:
        nonlocal parts
        parts += 1
        return {"type": "http.request", "body": bytes(50_000), "more_body": True}

    tracemalloc.start()
    with pytest.raises(RefusedError) as caught:
        asyncio.run(uploads.receive_body(receive, Limits(max_bytes=100_000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.status == 413
    assert parts == 9
    assert peak < 300_000


def test_the_rate_of_each_client_is_limited(classifier: Classifier) -> None:
    service = Service(classifier, Limits(rate=3), log=False)
    mine, other = Client(service), Client(service, "10.0.0.2")
    answers = [mine.post("/predict", content=VALID["png"]) for _ in range(6)]
    assert [answer.status_code for answer in answers[:3]] == [200] * 3
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"] == "1"
    assert "from one client" in answers[-1].json()["error"]
    assert other.post("/predict", content=VALID["png"]).status_code == 200


@pytest.mark.parametrize(("kind", "length"), [("as small as MNIST", 8), ("png", 2)])
def test_a_full_queue_refuses_requests(classifier: Classifier, kind: str, length: int) -> None:
    """The queue of large pictures, which run on threads, is a quarter as long."""
    service = Service(classifier, Limits(queue=8), log=False)

    async def together() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://x") as client:
            answers = await asyncio.gather(*(client.post("/predict", content=VALID[kind]) for _ in range(40)))
            answers.append(await client.post("/predict", content=VALID[kind]))
            return answers

    *answers, last = asyncio.run(together())
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 503}
    assert codes.count(200) == length
    refused = answers[codes.index(503)]
    assert refused.headers["retry-after"] == "1"
    assert "expected at most" in refused.json()["error"]
    assert last.status_code == 200


def test_a_timeout_is_answered(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(classifier, Limits(timeout=0.2), log=False)
    monkeypatch.setattr(service, "_recognise", lambda content: time.sleep(0.6) or [])
    response = Client(service).post("/predict", content=VALID["png"])
    assert response.status_code == 503
    assert "within 0.2 seconds" in response.json()["error"]


def test_metadata_health_and_page_are_served(client: Client, service: Service, classifier: Classifier) -> None:
    assert client.get("/model").json() == classifier.metadata
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    service.ready = False
    try:
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    finally:
        service.ready = True
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        assert client.get(path).headers["content-type"].startswith(kind)
    assert client.get("/nothing").json() == {"error": "Not Found"}
    assert client.get("/predict").status_code == 405
    assert client.get("/docs").status_code == 404  # FastAPI's page, which loads files from other hosts


@pytest.mark.parametrize("path", ["/", "/predict", "/nothing", "/model"])
def test_every_response_has_security_headers(client: Client, path: str) -> None:
    response = client.get(path) if path != "/predict" else client.post(path, content=VALID["png"])
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in response.headers
    if path == "/predict":
        assert response.headers["cache-control"] == "no-store"


def test_only_configured_origins_may_call_the_api(classifier: Classifier) -> None:
    service = Service(classifier, Limits(), origins=("https://a.example",), log=False)
    for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
        response = Client(service).post("/predict", content=VALID["png"], headers={"origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed


def test_allowed_origins_can_read_refusals(classifier: Classifier) -> None:
    client = Client(Service(classifier, Limits(rate=1), origins=("https://a.example",), log=False))
    origin = {"origin": "https://a.example"}
    before = client.request("OPTIONS", "/predict", headers=origin | {"access-control-request-method": "POST"})
    assert before.status_code == 200
    found = [client.post("/predict", content=VALID["png"], headers=origin) for _ in range(3)]
    assert [response.status_code for response in found][-1] == 429
    assert found[0].status_code == 200
    assert found[-1].headers["access-control-allow-origin"] == "https://a.example"
    assert found[-1].headers["access-control-expose-headers"] == "retry-after"
    assert int(found[-1].headers["retry-after"]) >= 1


def test_metrics_count_requests_and_digits(classifier: Classifier) -> None:
    client = Client(Service(classifier, Limits(), log=False))
    client.post("/predict", content=VALID["png"])
    client.post("/predict", content=saved(Image.new("L", (50, 50))))
    client.post("/predict", content=b"seven")
    client.get("/some/secret")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'digits_requests_total{method="POST",path="/predict",status="200"} 2.0',
        'digits_requests_total{method="POST",path="/predict",status="415"} 1.0',
        'digits_requests_total{method="GET",path="other",status="404"} 1.0',
        'digits_read_total{digit="7"} 1.0',
        'digits_confidence_bucket{le="0.2"} 0.0',
        "digits_confidence_count 1.0",
        'digits_per_picture_bucket{le="0.0"} 1.0',
        "digits_per_picture_count 2.0",
        "digits_ink_share_count 1.0",
        "digits_stroke_width_count 1.0",
        "digits_waiting 0.0",
    ):
        assert line in lines, line
    width = next(float(line.split()[1]) for line in lines if line.startswith("digits_stroke_width_sum"))
    assert 1 < width < 6
    assert f'sha256="{classifier.metadata["sha256"]}"' in "".join(lines)


def test_the_log_has_one_line_per_request_without_the_picture(
    classifier: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client(Service(classifier, Limits()))
    client.post("/predict?images=true", content=VALID["png"])
    client.post("/predict", content=b"seven")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.keys() == {"time", "method", "path", "status", "milliseconds", "bytes", "client"}
    assert (first["path"], first["status"], first["bytes"]) == ("/predict", 200, len(VALID["png"]))
    assert second["status"] == 415


def test_an_internal_error_is_answered_with_500(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(classifier, Limits(), log=False)
    monkeypatch.setattr(service, "_recognise", lambda content: 1 / 0)
    response = Client(service, raises=False).post("/predict", content=VALID["png"])
    assert response.status_code == 500
    assert response.json().keys() == {"error"}
    assert response.headers["x-content-type-options"] == "nosniff"


@given(st.binary(max_size=500))
@settings(max_examples=EXAMPLES, deadline=2_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_refused(client: Client, content: bytes) -> None:
    assert client.post("/predict", content=content).status_code in REFUSED


@given(
    st.sampled_from(sorted(VALID)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
@settings(max_examples=EXAMPLES, deadline=2_000)
def test_corrupted_pictures_never_cause_an_internal_error(
    client: Client, name: str, changes: list[tuple[float, int]], end: float
) -> None:
    content = bytearray(VALID[name])
    for place, value in changes:
        content[int(place * len(content))] = value
    content = content[: max(1, round(len(content) * (1 - end**4)))]
    assert client.post("/predict", content=bytes(content)).status_code in REFUSED | {200}


def test_the_server_does_not_import_the_pipeline() -> None:
    code = "import sys, digits.server.cli; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
    assert "onnxruntime" in loaded
    training = {
        "pipeline",
        "torch",
        "torchvision",
        "sklearn",
        "dvc",
        "onnx",
        "skl2onnx",
        "matplotlib",
        "pytorch_lightning",
    }
    assert not training & set(loaded)
