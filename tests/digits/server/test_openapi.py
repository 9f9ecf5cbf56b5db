"""The service conforms to its OpenAPI schema. `FUZZ=2000 pytest tests/digits/server` tries more examples."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from digits.server import schemas
from digits.server.app import Service
from tests.digits.server.conftest import Client, Running

EXAMPLES = int(os.environ.get("FUZZ", "25"))  # per route
CHECKS = [schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance]
CHECKS += [response_schema_conformance]


@pytest.mark.parametrize("path", ["/predict", "/model", "/healthz", "/readyz", "/metrics"])
def test_responses_conform_to_the_schema(server: Running, path: str) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    method = "POST" if path == "/predict" else "GET"

    @given(schema[path][method].as_strategy())
    @settings(max_examples=EXAMPLES, deadline=3_000, suppress_health_check=list(HealthCheck), database=None)
    def conforms(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    conforms()


def test_the_schema_has_a_valid_example(service: Service) -> None:
    schemas.Prediction.model_validate(schemas.EXAMPLE)
    paths = Client(service).get("/openapi.json").json()["paths"]
    assert paths.keys() == {"/predict", "/model", "/healthz", "/readyz", "/metrics"}
    predict = paths["/predict"]["post"]
    assert {"200", "400", "413", "415", "422", "429", "503"} == predict["responses"].keys()
    assert predict["responses"]["200"]["content"]["application/json"]["example"] == schemas.EXAMPLE
    assert {"image/png", "multipart/form-data"} <= predict["requestBody"]["content"].keys()
