"""The HTTP API matches its document: every route, every answer, every refusal."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import openapi_spec_validator
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from checks.kits.web.app import COOKIE, URL, Operator, make_app
from checks.kits.web.hive import FakeHive
from pyglue import names
from pyglue.config import WebConfig
from pyglue.web.guard.auth import csrf_token
from pyglue.web.json import table
from tools import generate_openapi

EXAMPLES: Final = 15
CHECKS: Final = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.response_headers_conformance,
    schemathesis.checks.negative_data_rejection,
    schemathesis.checks.positive_data_acceptance,
    schemathesis.checks.allow_header_conformance,
    schemathesis.checks.unsupported_method,
]


@pytest.fixture(scope="module")
def operator(running: FakeHive, app: Flask) -> Operator:
    return Operator(running, app, running.new_session())


@pytest.fixture(scope="module")
def described(app: Flask) -> BaseSchema:
    """The API as Schemathesis reads it, before an app that answers."""
    document = json.loads(generate_openapi.TARGET.read_text())
    fields = document["paths"]["/api/journal/{agent}"]["get"]["parameters"]
    fields[:] = [one for one in fields if one["name"] != "follow"]
    schema = schemathesis.openapi.from_dict(document)
    schema.app = app
    return schema


def operations() -> Iterator[tuple[str, str]]:
    """Yield path and verb of all that ends: a stream does not."""
    for path, verbs in json.loads(generate_openapi.TARGET.read_text())["paths"].items():
        if not path.endswith("/events"):
            yield from ((path, verb) for verb in verbs)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("path", "verb"), list(operations()))
def test_every_answer_is_as_the_document_says(
    described: BaseSchema,
    operator: Operator,
    path: str,
    verb: str,
    mode: GenerationMode,
) -> None:
    hive, session = operator.hive, operator.session or ""
    headers = {"Origin": URL, "X-CSRF-Token": csrf_token(session, URL)}
    if path == "/metrics":
        headers["Authorization"] = f"Bearer {hive.metrics_token}"
    asked = described[path][verb.upper()]

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=asked.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(
            checks=CHECKS, headers=headers, cookies={COOKIE: session}, base_url=URL
        )

    with contextlib.suppress(Unsatisfiable):  # no field can be wrong
        ask()


def test_a_dashboard_s_own_document_names_its_cookie_and_address(
    running: FakeHive, tmp_path: Path
) -> None:
    web = WebConfig(port=7420, external_url="https://hive.example:7420")
    operator = Operator(running, make_app(running, web), running.new_session())
    operator.client.set_cookie(
        "__Host-hive_7420", operator.session or "", domain="hive.example", secure=True
    )
    answer = operator.client.get(
        "/api/openapi.json", base_url="https://hive.example:7420"
    )
    found = answer.get_json()
    assert answer.status_code == 200, answer.text
    assert found["servers"][0]["url"] == "https://hive.example:7420"
    schemes = found["components"]["securitySchemes"]
    assert schemes["session"]["name"] == "__Host-hive_7420"


def test_every_operation_declares_its_refusals() -> None:
    document = json.loads(generate_openapi.TARGET.read_text())
    assert document["servers"] and document["info"]["license"]["identifier"] == "MIT"
    for verbs in document["paths"].values():
        for one in verbs.values():
            assert {"200", "4XX", "5XX"} <= set(one["responses"])
            for place in one["parameters"]:
                if place["name"] == "agent":
                    assert place["schema"]["maxLength"] == names.LENGTH
                    assert place["schema"]["pattern"] == names.PATTERN
    problem = document["components"]["responses"]["problem"]
    assert list(problem["content"]) == ["application/problem+json"]


def test_the_document_is_a_valid_openapi_document(operator: Operator) -> None:
    answer = operator.get("/api/openapi.json")
    assert answer.status_code == 200
    found = answer.get_json()
    openapi_spec_validator.validate(found)
    assert found["openapi"] == "3.1.0"
    schemas = found["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    refs = {
        text.split('"')[0] for text in answer.text.split('"#/components/schemas/')[1:]
    }
    assert refs == set(schemas)


def test_every_view_of_the_api_is_described(app: Flask) -> None:
    routes = {
        (rule.endpoint, verb)
        for rule in app.url_map.iter_rules()
        for verb in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if "/api/" in rule.rule or rule.rule == "/metrics"
    }
    assert routes == {(one.name, one.verb) for one in table.ROUTES}
    described = json.loads(generate_openapi.TARGET.read_text())["paths"]
    assert sum(map(len, described.values())) == len(table.ROUTES)


def test_a_stranger_gets_no_document(running: FakeHive, app: Flask) -> None:
    answer = Operator(running, app).get("/api/openapi.json")
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/approvals/{10**30}", 400),
        (f"/api/operations/{10**30}", 400),
        ("/api/approvals/0", 400),
        ("/api/agents/alice\x7f", 400),
        ("/api/messages?clip=-1&before=0", 400),
        (f"/api/messages?clip={10**40}", 400),
        (f"/api/messages?limit={10**400}", 400),
        ("/api/messages?limit=501", 400),
        ("/api/messages?limit=500", 200),
        ("/api/stats?since=1e999", 400),
        ("/api/stats?until=nan", 400),
        ("/api/stats?since=null", 400),
        ("/api/status?novel=1", 400),
        (f"/api/messages?text={'x' * 201}", 400),
        (f"/api/messages?text={'x' * 200}", 200),
        ("/api/messages?limit=1&limit=2", 400),
        ("/api/messages?agent=null", 200),
        ("/api/messages?agent=alice-", 400),
        ("/api/inbox?show=perhaps", 400),
        (f"/agents/alice/api/history?before={10**30}", 400),
    ],
)
def test_numbers_out_of_range_are_refused(
    operator: Operator, path: str, status: int
) -> None:
    answer = operator.get(path)
    assert answer.status_code == status, answer.text
    kind = "application/json" if status == 200 else "application/problem+json"
    assert answer.content_type == kind


def test_drift_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_openapi, "ROOT", tmp_path)
    monkeypatch.setattr(generate_openapi, "TARGET", tmp_path / "openapi.json")
    assert generate_openapi.main(["--check"]) == 1
    assert generate_openapi.main([]) == 0
    assert generate_openapi.main(["--check"]) == 0
    (tmp_path / "openapi.json").write_text("{}")
    assert generate_openapi.main(["--check"]) == 1
    assert "openapi.json is out of date" in capsys.readouterr().out
