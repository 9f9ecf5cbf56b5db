"""The service keeps to its own description. `FUZZ=2000 pytest tests/serve` looks harder."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipeline.serve import answers
from pipeline.serve.app import Service
from tests.serve.conftest import Client, Running

EXAMPLES = int(os.environ.get("FUZZ", "25"))  # of each route
CHECKS = [schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance]
CHECKS += [response_schema_conformance]


@pytest.mark.parametrize("path", ["/predict", "/model", "/healthz", "/readyz", "/metrics"])
def test_keeps_to_its_description(server: Running, path: str) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    method = "POST" if path == "/predict" else "GET"

    @given(schema[path][method].as_strategy())
    @settings(max_examples=EXAMPLES, deadline=3_000, suppress_health_check=list(HealthCheck), database=None)
    def keeps_to_it(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    keeps_to_it()


def test_the_description_has_an_example_that_is_true(service: Service) -> None:
    answers.Reading.model_validate(answers.EXAMPLE)
    described = Client(service).get("/openapi.json").json()["paths"]
    assert described.keys() == {"/predict", "/model", "/healthz", "/readyz", "/metrics"}
    predict = described["/predict"]["post"]
    assert {"200", "400", "413", "415", "422", "429", "503"} == predict["responses"].keys()
    assert predict["responses"]["200"]["content"]["application/json"]["example"] == answers.EXAMPLE
    assert {"image/png", "multipart/form-data"} <= predict["requestBody"]["content"].keys()
