"""Nobody enters who must not: every route, each way of being refused, and nothing has changed."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from backend.problems import MEDIA_TYPE
from backend.security.guard import PUBLIC_PATHS
from tests.backend.site import Site

HUGE = b'{"task": "' + b"x" * 20_000_000 + b'"}'
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODILESS = {"GET", "HEAD"}


@dataclass(frozen=True)
class Attempt:
    """A request that must be refused."""

    status: int
    name: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    signed: bool = False
    public_too: bool = True
    """Whether the open routes refuse it as well."""
    bodiless_too: bool = True


ATTEMPTS = {
    "no token": Attempt(401, "NoToken", public_too=False),
    "wrong token": Attempt(401, "NoToken", {"Authorization": "Bearer nonsense"}, public_too=False),
    "token of another scheme": Attempt(401, "NoToken", {"Authorization": "Basic nonsense"}, public_too=False),
    "wrong cookie": Attempt(401, "NoToken", {"Cookie": "corral_8765=9999999999.0000"}, public_too=False),
    "foreign host": Attempt(403, "ForeignHost", {"Host": "evil.example:8765"}, signed=True),
    "rebound host": Attempt(403, "ForeignHost", {"Host": "127.0.0.1.nip.io:8765"}, signed=True),
    "no host": Attempt(403, "ForeignHost", {"Host": ""}, signed=True),
    "foreign origin": Attempt(403, "ForeignOrigin", {"Origin": "https://evil.example"}, signed=True),
    "another local port's origin": Attempt(403, "ForeignOrigin", {"Origin": "http://127.0.0.1:3000"}, signed=True),
    "null origin": Attempt(403, "ForeignOrigin", {"Origin": "null"}, signed=True),
    "another site by fetch": Attempt(
        403, "ForeignOrigin", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, signed=True
    ),
    "20 MB": Attempt(413, "BodyTooLarge", JSON, HUGE, signed=True),
    "no JSON declared": Attempt(415, "NotJson", {"Content-Type": "text/plain"}, b"{}", signed=True, bodiless_too=False),
}


@pytest.mark.parametrize("name", ATTEMPTS)
async def test_every_route_refuses(site: Site, name: str) -> None:
    attempt = ATTEMPTS[name]
    headers = dict(attempt.headers)
    if attempt.signed:
        headers["Authorization"] = f"Bearer {site.token}"
    before = await site.application.runs.counts()
    async with site.stranger(headers) as stranger:
        for method, path in site.routes():
            if (path in PUBLIC_PATHS and not attempt.public_too) or (method in BODILESS and not attempt.bodiless_too):
                continue
            answer = await stranger.request(method, path.replace("{run}", "0"), content=attempt.body)
            assert answer.status_code == attempt.status, f"{method} {path}"
            assert answer.headers["content-type"] == MEDIA_TYPE
            if method != "HEAD":
                problem = answer.json()
                assert problem["type"] == f"about:corral/{attempt.name}"
                assert problem["status"] == attempt.status
    assert await site.application.runs.counts() == before


async def test_a_body_that_does_not_say_how_long_it_is_is_cut_off_at_the_limit(site: Site) -> None:
    async def endless():
        while True:
            yield b" " * 1_000_000

    answer = await site.client.post("/api/v1/runs", content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (413, "about:corral/BodyTooLarge")


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"task": ""}', b"[" * 100_000, b'{"task": "x", "more": 1}'])
async def test_what_is_no_task_is_refused_as_422(site: Site, body: bytes) -> None:
    answer = await site.client.post("/api/v1/runs", content=body, headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE)
    assert await site.application.runs.counts() == {}


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [("/api/v1/runs", JSON, b'{"task": "x"}'), ("/api/v1/sessions", JSON, b"{}"), ("/signin", FORM, b"password=x")],
)
async def test_an_encoded_body_is_refused_as_what_it_is(
    site: Site, path: str, kind: dict[str, str], body: bytes
) -> None:
    headers = {**kind, "Content-Encoding": "gzip"}
    answer = await site.client.post(path, content=gzip.compress(body), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "about:corral/NotJson")
    assert "Content-Encoding" in answer.json()["hint"]
    as_it_is = await site.client.post(path, content=body, headers={**kind, "Content-Encoding": "identity"})
    assert as_it_is.status_code != 415


async def test_a_problem_is_told_once_however_many_parts_of_a_route_read_it(site: Site) -> None:
    told = (await site.client.post("/api/v1/runs", json={"task": 5, "candidates": 99})).json()["detail"].split("; ")
    assert len(told) == len(set(told)) > 1


async def test_a_refusal_does_not_repeat_what_was_sent(site: Site) -> None:
    answer = await site.client.post("/api/v1/runs", json={"task": 5, "repo": "/", "secret": "hunter2"})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765", "LOCALHOST:1"])
async def test_loopback_by_any_name_is_let_in(site: Site, host: str) -> None:
    answer = await site.client.get("/api/v1/pool", headers={"Host": host, "Origin": f"http://{host}"})
    assert answer.status_code == 200


async def test_every_answer_carries_the_security_headers(site: Site) -> None:
    async with site.stranger() as stranger:
        answers = [
            await site.client.get("/api/v1/pool"),
            await site.client.get("/nowhere"),
            await stranger.get("/api/v1/pool"),
            await stranger.get("/health/live"),
            await stranger.get("/signin"),
        ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_is_granted_nothing(site: Site) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await site.client.options("/api/v1/runs", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/runs", "GET, POST"),
        ("/api/v1/sessions/x", "GET, PATCH, DELETE"),
        ("/api/v1/sessions/x/todos", "GET, PUT"),
        ("/api/v1/approvals/x", "GET, POST"),
        ("/signin", "GET, POST"),
        ("/health/live", "GET, HEAD"),
    ],
)
async def test_a_method_that_an_address_does_not_take_is_answered_with_all_that_it_takes(
    site: Site, path: str, allowed: str
) -> None:
    answer = await site.client.request("OPTIONS", path)
    assert (answer.status_code, answer.json()["type"]) == (405, "about:corral/MethodNotAllowed")
    assert answer.headers["allow"] == allowed


async def test_a_path_that_does_not_exist_is_a_problem_too(site: Site) -> None:
    answer = await site.client.get("/nowhere")
    assert (answer.status_code, answer.json()["type"]) == (404, "about:corral/NoPage")
    answer = await site.client.put("/api/v1/pool")
    assert (answer.status_code, answer.json()["type"]) == (405, "about:corral/MethodNotAllowed")


@pytest.mark.parametrize(
    "name", ["../api.py", "..%2fapi.py", "%2e%2e/api.py", "/etc/passwd", "app/../../api.py", "__init__.py", ""]
)
async def test_no_name_leads_out_of_the_pages_folder(site: Site, name: str) -> None:
    answer = await site.client.get(f"/static/{name}")
    assert answer.status_code == 404


async def test_a_file_of_the_page_has_its_own_type_and_wants_the_cookie(site: Site) -> None:
    script = next(name for name in site.app.state.page if name.endswith(".js"))
    answer = await site.client.get(f"/static/{script}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    async with site.stranger() as stranger:
        assert (await stranger.get(f"/static/{script}")).status_code == 401


async def test_metrics_tell_of_pool_runs_and_streams(site: Site) -> None:
    run = await site.begin()
    await site.application.engine.result(run)
    answer = await site.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = set(answer.text.splitlines())
    assert {
        'corral_pool_endpoint_up{endpoint="gpu0"} 1.0',
        'corral_pool_queue_depth{band="interactive"} 0.0',
        'corral_pool_slots{endpoint="gpu0",lane="oracle:latest",state="free"} 4.0',
        'corral_runs{state="running",status=""} 0.0',
        'corral_runs{state="finished",status="done"} 1.0',
        "corral_sse_clients 0.0",
    } <= lines
    done = next(line for line in lines if line.startswith('corral_pool_calls_total{outcome="done"}'))
    assert float(done.split()[-1]) > 0
    assert run not in answer.text
    calls = done.split()[-1]
    chat = 'gen_ai_operation_name="chat",gen_ai_provider_name="ollama",gen_ai_request_model="oracle:latest"'
    scraped = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines if not line.startswith("#")}
    address = f'server_address="{site.application.settings.servers[0].url.partition("://")[2]}"'
    assert scraped[f'gen_ai_client_operation_duration_seconds_count{{error_type="",{chat},{address}}}'] == calls
    assert scraped[f"gen_ai_client_operation_time_to_first_chunk_seconds_count{{{chat},{address}}}"] == calls
    assert scraped[f"gen_ai_client_operation_time_per_output_chunk_seconds_count{{{chat},{address}}}"] == calls
    assert scraped[f'gen_ai_client_token_usage_tokens_count{{{chat},gen_ai_token_type="output",{address}}}'] == calls
    assert scraped['corral_pool_wait_seconds_bucket{band="interactive",le="+Inf"}'] == calls
    assert scraped['corral_first_token_seconds_count{band="interactive"}'] == calls
    assert float(scraped['corral_tokens_total{model="oracle:latest",type="output"}']) > 0
    assert scraped["corral_pool_loads_total"] == "1.0"
    assert scraped["corral_pool_reloads_total"] == "0.0"
    assert scraped['corral_pool_slots_known{endpoint="gpu0",lane="oracle:latest"}'] == "4.0"
    assert "_created" not in answer.text


async def test_health_needs_nothing_and_readiness_ends_with_the_shutdown(site: Site) -> None:
    async with site.stranger() as stranger:
        assert (await stranger.get("/health/ready")).status_code == 200
        assert (await stranger.head("/health/ready")).status_code == 200
        site.stopping.begin()
        assert (await stranger.get("/health/live")).status_code == 200
        assert (await stranger.head("/health/live")).status_code == 200
        assert (await stranger.head("/health/ready")).status_code == 503
        answer = await stranger.get("/health/ready")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_new_work_is_refused_while_it_drains_and_reading_goes_on(site: Site) -> None:
    site.stopping.begin()
    answer = await site.client.post("/api/v1/runs", json=site.task())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "about:corral/ShuttingDown"
    assert (await site.client.get("/api/v1/runs")).json() == {"runs": [], "next": None}


async def test_the_openapi_document_describes_every_route_with_an_example_and_its_refusals(site: Site) -> None:
    document = (await site.client.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    page = {"/", "/static/{name:path}", "/favicon.ico", "/openapi.json"}
    assert {(method, path) for method, path in site.routes() if path not in page} == described
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            assert {"401", "403"} <= operation["responses"].keys()
            assert (operation.get("security") == []) == (path in PUBLIC_PATHS)
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(answer["content"]) == [MEDIA_TYPE]
                    continue
                for kind, content in answer.get("content", {}).items():
                    named = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                    example = content.get("example") or document["components"]["schemas"].get(named, {}).get("example")
                    assert example is not None or kind == "text/html" or content["schema"] == {}, f"{path} {kind}"
    assert "guest" not in document["components"]["schemas"]["TaskSpec"]["properties"]
