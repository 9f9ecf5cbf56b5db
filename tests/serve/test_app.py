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

from pipeline.artifact import Classifier
from pipeline.serve import uploads
from pipeline.serve.app import Service
from pipeline.serve.limits import Limits, RefusedError
from tests.conftest import ROOT
from tests.serve.conftest import Client, saved, seven

EXAMPLES = int(os.environ.get("FUZZ", "40"))  # of Hypothesis, in each test
REFUSED = {400, 413, 415, 422}


@pytest.fixture(scope="module")
def client(service: Service) -> Client:
    return Client(service)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    return saved(seven().rotate(90, expand=True), "JPEG", exif=exif)


def clear() -> Image.Image:
    """Return a seven of black ink on a transparent ground that is black beneath."""
    image = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    image.putalpha(ImageOps.invert(seven()))
    return image


def sixteen() -> bytes:
    return saved(Image.fromarray(np.asarray(seven(), np.uint16) * 257))


READ = {
    "png": saved(seven()),
    "white on black": saved(ImageOps.invert(seven())),
    "as small as MNIST": saved(seven(28)),
    "colours": saved(seven().convert("RGB"), "JPEG"),
    "CMYK": saved(seven().convert("CMYK"), "JPEG"),
    "palette": saved(seven().convert("P")),
    "palette with transparency": saved(clear().convert("PA").convert("RGBA").quantize(), "PNG", transparency=0),
    "one bit": saved(seven().convert("1")),
    "one bit bmp": saved(seven().convert("1"), "BMP"),
    "sixteen bits": sixteen(),
    "webp": saved(seven().convert("RGB"), "WEBP", lossless=True),
    "black ink on a clear ground": saved(clear()),
    "grey and alpha": saved(clear().convert("LA")),
    "turned by EXIF": turned(),
}


@pytest.mark.parametrize("name", READ)
def test_reads_every_kind_of_picture(client: Client, name: str) -> None:
    response = client.post("/predict", content=READ[name])
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["text"] == "7"
    digit = found["digits"][0]
    assert digit["probability"] == max(digit["probabilities"]) == digit["probabilities"][7]
    assert sum(digit["probabilities"]) == pytest.approx(1, abs=0.001)
    left, top, right, bottom = digit["box"]
    assert 0 <= left < right
    assert 0 <= top < bottom


def test_a_form_and_a_body_say_the_same(client: Client) -> None:
    body = client.post("/predict", content=READ["png"], headers={"content-type": "image/png"})
    form = client.post("/predict", files={"file": ("seven.png", READ["png"], "image/png")}, data={"note": "hello"})
    assert form.status_code == 200, form.text
    assert form.json() == body.json()


def test_what_the_model_saw(client: Client) -> None:
    assert "images" not in client.post("/predict?images=false", content=READ["as small as MNIST"]).json()
    found = client.post("/predict?images=true", content=READ["as small as MNIST"]).json()
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["images"][0]))))
    assert seen.shape == (28, 28)
    assert np.corrcoef(seen.ravel(), 255 - np.asarray(seven(28)).ravel())[0, 1] > 0.5
    assert client.post("/predict?images=perhaps", content=READ["png"]).status_code == 422


def test_answers_what_the_measured_file_gives(client: Client) -> None:
    """The service's probabilities are those of ONNX Runtime alone, for the image that the model saw."""
    session = onnxruntime.InferenceSession(ROOT / "models/best/model.onnx")
    for name in ("png", "as small as MNIST", "colours"):
        found = client.post("/predict?images=true", content=READ[name]).json()
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
    """Return the header of a lossless WebP of 16383x16383 pixels, and nothing behind it."""
    size = (16_382 | 16_382 << 14).to_bytes(4, "little")
    content = b"\x2f" + size + bytes(15)
    body = b"WEBPVP8L" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(content: str) -> tuple[bytes, str]:
    return content.replace("\n", "\r\n").encode(), "multipart/form-data; boundary=x"


WRONG = {
    "empty": (b"", "", 422, "found an empty file"),
    "text": (b"seven", "", 415, "expected a picture (PNG, JPEG, WEBP, BMP)"),
    "text, and it says so": (b"seven", "text/plain", 415, "found text/plain"),
    "json": (b"{}", "application/json", 415, "found application/json"),
    "text that claims to be a picture": (b"seven", "image/png", 415, "found something else"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415, "found something else"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "", 415, "found something else"),
    "gif": (saved(seven(), "GIF"), "", 415, "found something else"),
    "animated gif": (frames("GIF"), "", 415, "found something else"),
    "animated webp": (frames("WEBP"), "", 422, "expected one frame, found an animation of 2"),
    "animated png": (frames("PNG"), "", 422, "expected one frame, found an animation of 2"),
    "float tiff": (saved(Image.new("F", (9, 9)), "TIFF"), "", 415, "found something else"),
    "truncated png": (READ["png"][:60], "", 422, "broken"),
    "truncated jpeg": (READ["colours"][:-300], "", 422, "broken"),
    "truncated webp": (READ["webp"][:-30], "", 422, "broken"),
    "truncated bmp": (READ["one bit bmp"][:-300], "", 422, "broken"),
    "bomb": (huge(), "", 413, "expected at most 4,000,000 pixels, found 12000x12100"),
    "bomb of WebP": (huge_webp(), "", 413, "expected at most 4,000,000 pixels"),
    "just too large": (saved(Image.new("1", (2_001, 2_000))), "", 413, "found 2001x2000"),
    "form without a boundary": (b"", "multipart/form-data", 400, "expected a boundary"),
    "form that is none": (*form("seven"), 400, "expected multipart/form-data"),
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


@pytest.mark.parametrize("name", WRONG)
def test_refuses_what_is_no_picture(client: Client, name: str) -> None:
    content, kind, status, message = WRONG[name]
    response = client.post("/predict", content=content, headers={"content-type": kind} if kind else {})
    assert response.status_code == status, response.text
    assert response.json().keys() == {"error"}
    assert message in response.json()["error"]


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 2), (28, 1), (2_000, 2_000)])
@pytest.mark.parametrize("colour", [0, 255])
def test_a_picture_without_a_digit(client: Client, size: tuple[int, int], colour: int) -> None:
    response = client.post("/predict?images=true", content=saved(Image.new("L", size, colour)))
    assert response.status_code == 200, response.text
    assert response.json() == {"text": "", "digits": [], "images": []}


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    """Yield `content` in parts; it is then sent without a length."""
    for start in range(0, len(content), 9_999):
        yield content[start : start + 9_999]


def test_a_body_may_have_a_mebibyte_and_no_more(client: Client) -> None:
    for extra, status in ((0, 200), (1, 413)):
        padded = READ["png"] + bytes((1 << 20) - len(READ["png"]) + extra)
        response = client.post("/predict", content=padded)
        assert response.status_code == status, response.text
        assert client.post("/predict", content=chunks(padded)).status_code == status


def test_a_body_without_end_is_neither_kept_nor_read_for_ever() -> None:
    parts = 0

    async def receive() -> dict[str, object]:
        nonlocal parts
        parts += 1
        return {"type": "http.request", "body": bytes(50_000), "more_body": True}

    tracemalloc.start()
    with pytest.raises(RefusedError) as caught:
        asyncio.run(uploads.body(receive, Limits(size=100_000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.status == 413
    assert parts == 9
    assert peak < 300_000


def test_a_client_has_a_rate(classifier: Classifier) -> None:
    service = Service(classifier, Limits(rate=3), log=False)
    mine, other = Client(service), Client(service, "10.0.0.2")
    answers = [mine.post("/predict", content=READ["png"]) for _ in range(6)]
    assert [answer.status_code for answer in answers[:3]] == [200] * 3
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"] == "1"
    assert "from one client" in answers[-1].json()["error"]
    assert other.post("/predict", content=READ["png"]).status_code == 200


@pytest.mark.parametrize(("kind", "length"), [("as small as MNIST", 8), ("png", 2)])
def test_a_full_line_is_refused_at_once(classifier: Classifier, kind: str, length: int) -> None:
    """The line of large pictures, which are read on a thread, is a quarter as long."""
    service = Service(classifier, Limits(queue=8), log=False)

    async def together() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://x") as client:
            answers = await asyncio.gather(*(client.post("/predict", content=READ[kind]) for _ in range(40)))
            answers.append(await client.post("/predict", content=READ[kind]))
            return answers

    *answers, last = asyncio.run(together())
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 503}
    assert codes.count(200) == length
    refused = answers[codes.index(503)]
    assert refused.headers["retry-after"] == "1"
    assert "expected at most" in refused.json()["error"]
    assert last.status_code == 200


def test_too_long_a_wait_is_refused(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(classifier, Limits(seconds=0.2), log=False)
    monkeypatch.setattr(service, "_read", lambda content: time.sleep(0.6) or [])
    response = Client(service).post("/predict", content=READ["png"])
    assert response.status_code == 503
    assert "within 0.2 seconds" in response.json()["error"]


def test_the_other_routes(client: Client, service: Service, classifier: Classifier) -> None:
    assert client.get("/model").json() == classifier.card
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
    assert client.get("/docs").status_code == 404  # a page of FastAPI's that loads from other hosts


@pytest.mark.parametrize("path", ["/", "/predict", "/nothing", "/model"])
def test_every_answer_is_guarded(client: Client, path: str) -> None:
    response = client.get(path) if path != "/predict" else client.post(path, content=READ["png"])
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in response.headers
    if path == "/predict":
        assert response.headers["cache-control"] == "no-store"


def test_other_pages_may_ask_only_where_it_is_set(classifier: Classifier) -> None:
    service = Service(classifier, Limits(), origins=("https://a.example",), log=False)
    for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
        response = Client(service).post("/predict", content=READ["png"], headers={"origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed


def test_other_pages_can_read_that_they_asked_too_often(classifier: Classifier) -> None:
    client = Client(Service(classifier, Limits(rate=1), origins=("https://a.example",), log=False))
    origin = {"origin": "https://a.example"}
    before = client.request("OPTIONS", "/predict", headers=origin | {"access-control-request-method": "POST"})
    assert before.status_code == 200
    found = [client.post("/predict", content=READ["png"], headers=origin) for _ in range(3)]
    assert [response.status_code for response in found][-1] == 429
    assert found[0].status_code == 200
    assert found[-1].headers["access-control-allow-origin"] == "https://a.example"
    assert found[-1].headers["access-control-expose-headers"] == "retry-after"
    assert int(found[-1].headers["retry-after"]) >= 1


def test_metrics(classifier: Classifier) -> None:
    client = Client(Service(classifier, Limits(), log=False))
    client.post("/predict", content=READ["png"])
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
    assert f'sha256="{classifier.card["sha256"]}"' in "".join(lines)


def test_the_log_has_a_line_per_request_and_no_picture(
    classifier: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client(Service(classifier, Limits()))
    client.post("/predict?images=true", content=READ["png"])
    client.post("/predict", content=b"seven")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.keys() == {"time", "method", "path", "status", "milliseconds", "bytes", "client"}
    assert (first["path"], first["status"], first["bytes"]) == ("/predict", 200, len(READ["png"]))
    assert second["status"] == 415


def test_a_mistake_of_ours_is_answered_as_one(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(classifier, Limits(), log=False)
    monkeypatch.setattr(service, "_read", lambda content: 1 / 0)
    response = Client(service, raises=False).post("/predict", content=READ["png"])
    assert response.status_code == 500
    assert response.json().keys() == {"error"}
    assert response.headers["x-content-type-options"] == "nosniff"


@given(st.binary(max_size=500))
@settings(max_examples=EXAMPLES, deadline=2_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_too_odd(client: Client, content: bytes) -> None:
    assert client.post("/predict", content=content).status_code in REFUSED


@given(
    st.sampled_from(sorted(READ)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
@settings(max_examples=EXAMPLES, deadline=2_000)
def test_no_broken_picture_breaks_it(client: Client, name: str, changes: list[tuple[float, int]], end: float) -> None:
    content = bytearray(READ[name])
    for place, value in changes:
        content[int(place * len(content))] = value
    content = content[: max(1, round(len(content) * (1 - end**4)))]
    assert client.post("/predict", content=bytes(content)).status_code in REFUSED | {200}


def test_what_it_loads() -> None:
    code = "import sys, pipeline.serve.__main__; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
    assert "onnxruntime" in loaded
    assert not {"torch", "torchvision", "sklearn", "dvc", "onnx", "skl2onnx", "matplotlib", "pytorch_lightning"} & set(
        loaded
    )
