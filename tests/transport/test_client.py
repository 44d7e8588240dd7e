"""What each call sends, and what it makes of a single answer."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx

from agents.model import Message, Tool, ToolCall
from infrastructure.config.settings import ServerSettings
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.connections import speaks_http2
from infrastructure.transport.encoding import is_cloud
from infrastructure.transport.errors import (
    CloudModelRefused,
    ContextExceeded,
    ModelNotFound,
    NotAuthorized,
    OllamaError,
    PhaseTimeout,
    PullFailed,
    RequestRefused,
    ServerBusy,
    ServerFailed,
    ServerUnreachable,
    UnreadableAnswer,
)
from infrastructure.transport.messages import ChatRequest, EmbedRequest, GenerateRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HTTPX = ServerSettings(transport="httpx")  # respx stands in for what httpx speaks through
URL = "http://127.0.0.1:11434"
DONE = b'{"message":{"content":""},"done":true}\n'


@pytest.fixture
async def client() -> AsyncIterator[OllamaClient]:
    client = OllamaClient(HTTPX)
    yield client
    await client.aclose()


async def sent_by_chat(request: ChatRequest) -> dict[str, Any]:
    client = OllamaClient(HTTPX, allow_cloud=True)
    with respx.mock:
        route = respx.post(f"{URL}/api/chat").respond(200, content=DONE)
        async with client.chat(request) as chunks:
            assert [chunk.final is not None async for chunk in chunks] == [True]
    await client.aclose()
    return json.loads(route.calls.last.request.content)


async def test_only_what_is_set_is_sent_and_truncate_is_always_off() -> None:
    assert await sent_by_chat(ChatRequest(model="m", messages=(Message("user", "hi"),))) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "truncate": False,
    }


async def test_a_whole_conversation_is_sent_in_the_servers_form() -> None:
    body = await sent_by_chat(
        ChatRequest(
            model="m",
            messages=(
                Message("system", "s"),
                Message("assistant", "", thinking="t", tool_calls=(ToolCall("f", {"x": [1]}, "call_1"),)),
                Message("tool", "42", tool_name="f", tool_call_id="call_1"),
            ),
            tools=(Tool("f", "does", {"type": "object"}),),
            format={"type": "object"},
            think="high",
            options={"num_ctx": 512, "stop": ["x"]},
            keep_alive="30m",
            shift=False,
        )
    )
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "assistant",
                "content": "",
                "thinking": "t",
                "tool_calls": [{"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"x": [1]}}}],
            },
            {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "call_1"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "does", "parameters": {"type": "object"}}}
        ],
        "format": {"type": "object"},
        "think": "high",
        "options": {"num_ctx": 512, "stop": ["x"]},
        "keep_alive": "30m",
        "shift": False,
        "stream": True,
        "truncate": False,
    }


async def test_thinking_switched_off_is_sent_and_not_left_out() -> None:
    assert (await sent_by_chat(ChatRequest(model="m", messages=(), think=False)))["think"] is False


async def test_frozen_mappings_and_unsayable_characters_are_sent() -> None:
    schema = MappingProxyType({"enum": ("a", "b")})
    body = await sent_by_chat(ChatRequest(model="m", messages=(Message("user", "a\udcffb"),), format=schema))
    assert body["format"] == {"enum": ["a", "b"]}
    assert body["messages"][0]["content"] == "a?b"


@respx.mock
async def test_a_prompt_is_sent_in_the_servers_form(client: OllamaClient) -> None:
    route = respx.post(f"{URL}/api/generate").respond(200, content=b'{"response":"x","done":true}')
    request = GenerateRequest(model="m", prompt="p", system="s", suffix="e", raw=True, think=True, format="json")
    async with client.generate(request) as chunks:
        assert [chunk.text async for chunk in chunks] == ["x"]
    assert json.loads(route.calls.last.request.content) == {
        "model": "m",
        "prompt": "p",
        "system": "s",
        "suffix": "e",
        "raw": True,
        "think": True,
        "format": "json",
        "stream": True,
        "truncate": False,
    }


@respx.mock
async def test_no_origin_is_sent_and_no_compression_asked_for(client: OllamaClient) -> None:
    route = respx.get(f"{URL}/api/version").respond(json={"version": "1"})
    await client.version()
    headers = route.calls.last.request.headers
    assert "origin" not in headers
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"token": "t0ken"}, "Bearer t0ken"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({"username": "u"}, "Basic dTo="),
    ],
)
@respx.mock
async def test_credentials_are_sent(settings: dict[str, str], header: str) -> None:
    route = respx.get(f"{URL}/api/version").respond(json={"version": "1"})
    client = OllamaClient(ServerSettings.model_validate({**settings, "transport": "httpx"}))
    await client.version()
    assert route.calls.last.request.headers["authorization"] == header
    await client.aclose()


@respx.mock
async def test_a_path_prefix_is_kept_without_a_double_slash() -> None:
    route = respx.get("http://127.0.0.1:11434/ollama/api/version").respond(json={"version": "1"})
    client = OllamaClient(ServerSettings(url="127.0.0.1/ollama/", transport="httpx"))
    await client.version()
    assert route.called
    await client.aclose()


@respx.mock
async def test_a_redirect_is_not_followed(client: OllamaClient) -> None:
    respx.get(f"{URL}/api/version").respond(301, headers={"Location": "http://elsewhere/"})
    elsewhere = respx.get("http://elsewhere/").respond(json={"version": "1"})
    with pytest.raises(RequestRefused, match="http://elsewhere/"):
        await client.version()
    assert not elsewhere.called


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error":"the input length exceeds the context length"}', ContextExceeded),
        (400, b'{"error":"model is required"}', RequestRefused),
        (401, b"", NotAuthorized),
        (403, b"", NotAuthorized),
        (404, b'{"error":"model \'m\' not found"}', ModelNotFound),
        (405, b"405 method not allowed", RequestRefused),
        (500, b"", ServerFailed),
        (500, b'{"error":"llama-server process has terminated: exit status 1"}', ServerFailed),
        (502, b"<html><title>502 Bad Gateway</title>", ServerFailed),
        (503, b"", ServerBusy),
    ],
)
@respx.mock
async def test_each_refusal_is_raised_by_every_kind_of_call(
    client: OllamaClient, status: int, body: bytes, error: type[OllamaError]
) -> None:
    respx.post(url__startswith=URL).respond(status, content=body)
    with pytest.raises(error):
        await client.load("m")
    with pytest.raises(error):
        await client.embed(EmbedRequest(model="m", input=("a",)))
    with pytest.raises(error) as raised:
        async with client.chat(ChatRequest(model="m", messages=())):
            pass
    assert type(raised.value) is error
    assert raised.value.server == "127.0.0.1:11434"


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.ConnectError("refused"), ServerUnreachable),
        (httpx.ConnectTimeout(""), PhaseTimeout),
        (httpx.ReadError(""), ServerUnreachable),
        (httpx.RemoteProtocolError("Server disconnected"), ServerUnreachable),
        (httpx.LocalProtocolError("stream closed"), ServerUnreachable),
        (httpx.ProxyError("407"), ServerUnreachable),
        (httpx.UnsupportedProtocol("x"), ServerUnreachable),
    ],
)
@respx.mock
async def test_no_error_of_the_http_client_gets_out(
    client: OllamaClient, failure: Exception, error: type[OllamaError]
) -> None:
    respx.get(f"{URL}/api/version").mock(side_effect=failure)
    with pytest.raises(error) as raised:
        await client.version()
    assert raised.value.hint


@respx.mock
async def test_an_error_with_a_good_status_is_an_error_still(client: OllamaClient) -> None:
    respx.post(f"{URL}/api/generate").respond(json={"error": "no memory"})
    with pytest.raises(ServerFailed, match="no memory"):
        await client.load("m")


async def test_a_proxy_of_a_kind_nobody_speaks_is_told_when_the_server_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "gopher://127.0.0.1:1")
    client = OllamaClient(ServerSettings(url="http://gpu2.invalid"))
    with pytest.raises(ServerUnreachable) as raised:
        await client.version()
    assert "HTTP_PROXY" in raised.value.hint


@pytest.mark.parametrize("vectors", ["x", [1], [["a"]], [["1", "2"]], ["12"], [[True]], [[None]], [[]], [{"1": 1}]])
@respx.mock
async def test_vectors_that_are_no_numbers_are_unreadable(client: OllamaClient, vectors: object) -> None:
    respx.post(f"{URL}/api/embed").respond(json={"embeddings": vectors})
    with pytest.raises(UnreadableAnswer):
        await client.embed(EmbedRequest(model="m", input=("a",)))


@pytest.mark.parametrize("answer", [{}, {"embeddings": None}, {"embeddings": [[1.0]]}, {"embeddings": [[1.0]] * 3}])
@respx.mock
async def test_texts_without_a_vector_each_are_unreadable(client: OllamaClient, answer: dict[str, object]) -> None:
    respx.post(f"{URL}/api/embed").respond(json=answer)
    with pytest.raises(UnreadableAnswer, match="vectors for 2 texts"):
        await client.embed(EmbedRequest(model="m", input=("a", "b")))


@respx.mock
async def test_a_refused_certificate_points_to_the_setting(client: OllamaClient) -> None:
    failure = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    respx.get(f"{URL}/api/version").mock(side_effect=failure)
    with pytest.raises(ServerUnreachable) as raised:
        await client.version()
    assert "ca_file" in raised.value.hint


async def test_a_missing_certificate_file_is_told_when_the_server_is_asked(tmp_path: Path) -> None:
    client = OllamaClient(ServerSettings(url="https://127.0.0.1:1", ca_file=tmp_path / "none.pem"))
    with pytest.raises(ServerUnreachable) as raised:
        await client.version()
    assert "ca_file" in raised.value.hint


@respx.mock
async def test_loading_sends_the_load_time_options_and_no_prompt(client: OllamaClient) -> None:
    route = respx.post(f"{URL}/api/generate").respond(json={"response": "", "done": True, "done_reason": "load"})
    await client.load("m", {"num_ctx": 512}, -1, shift=True)
    assert json.loads(route.calls.last.request.content) == {
        "model": "m",
        "stream": False,
        "options": {"num_ctx": 512},
        "keep_alive": -1,
        "shift": True,
    }


@respx.mock
async def test_vectors_come_back_in_order(client: OllamaClient) -> None:
    answer = {"embeddings": [[1, 0.5], [0, 1]], "prompt_eval_count": 6, "total_duration": 9}
    route = respx.post(f"{URL}/api/embed").respond(json=answer)
    found = await client.embed(EmbedRequest(model="m", input=("a", "b"), dimensions=2))
    assert found.vectors == ((1.0, 0.5), (0.0, 1.0))
    assert found.metrics.prompt_tokens == 6
    assert json.loads(route.calls.last.request.content) == {
        "model": "m",
        "input": ["a", "b"],
        "truncate": False,
        "dimensions": 2,
    }


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"models":{}}', b'{"models":["x"]}', b'{"models":[{"size":"x"}]}']
)
@respx.mock
async def test_a_list_of_models_in_another_shape_is_unreadable(client: OllamaClient, body: bytes) -> None:
    respx.get(f"{URL}/api/tags").respond(200, content=body)
    with pytest.raises(UnreadableAnswer):
        await client.tags()


@respx.mock
async def test_lists_may_be_null_and_fields_missing(client: OllamaClient) -> None:
    respx.get(f"{URL}/api/tags").respond(json={"models": [{"model": "m", "details": None, "modified_at": "when?"}]})
    respx.get(f"{URL}/api/ps").respond(json={"models": None})
    respx.post(f"{URL}/api/show").respond(json={})
    (model,) = await client.tags()
    assert (model.name, model.size, model.modified_at, model.capabilities) == ("m", 0, None, None)
    assert await client.ps() == ()
    info = await client.show("m")
    assert (info.parameters, info.context_length, info.capabilities) == ({}, None, ())


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"block_count": 48, "head_count_kv": 8, "key_length": 128, "value_length": 128}, 2 * 48 * 8 * 256),
        ({"block_count": 2, "head_count_kv": 2, "head_count": 8, "embedding_length": 64}, 2 * 2 * 2 * 16),
        ({"block_count": 2, "head_count_kv": [1, 2], "head_count": 8, "embedding_length": 64}, None),
        ({"block_count": 2, "head_count_kv": 2}, None),
        ({"block_count": 2, "head_count_kv": 2, "key_length": 1, "value_length": 1, "kv_lora_rank": 5}, None),
        ({"block_count": 2, "head_count_kv": 2, "key_length": 1, "value_length": 1, "ssm.state_size": 5}, None),
        ({"block_count": 1 << 60, "head_count_kv": 2, "key_length": 1, "value_length": 1}, None),
    ],
)  # fmt: skip
@respx.mock
async def test_what_a_token_of_the_window_takes_is_told_where_attention_is_of_the_usual_kind(
    client: OllamaClient, about: dict[str, object], expected: int | None
) -> None:
    of_all = ("block_count", "embedding_length", "ssm.state_size")
    told = {f"x.{name if name in of_all else f'attention.{name}'}": value for name, value in about.items()}
    told["general.architecture"] = "x"
    respx.post(f"{URL}/api/show").respond(json={"model_info": told})
    assert (await client.show("m")).cache_token_bytes == expected


@respx.mock
async def test_a_cloud_model_under_any_name_shows_where_it_runs(client: OllamaClient) -> None:
    respx.get(f"{URL}/api/tags").respond(
        json={"models": [{"name": "mine:latest", "remote_model": "big", "remote_host": "https://ollama.com:443"}]}
    )
    assert (await client.tags())[0].remote_host == "https://ollama.com:443"


@respx.mock
async def test_parameters_are_read_with_their_types(client: OllamaClient) -> None:
    text = "\n".join(
        [
            "num_ctx                        8192",
            "temperature                    0.25",
            "use_mmap                       true",
            'stop                           "<|im_end|>"',
            r'stop                           "a\n\"b\" \x1b"',
            "strange                        word",
            "",
        ]
    )
    respx.post(f"{URL}/api/show").respond(json={"parameters": text})
    assert (await client.show("m")).parameters == {
        "num_ctx": 8192,
        "temperature": 0.25,
        "use_mmap": True,
        "stop": ("<|im_end|>", 'a\n"b" \x1b'),
        "strange": "word",
    }


@respx.mock
async def test_a_download_reports_until_its_success(client: OllamaClient) -> None:
    lines = [
        {"status": "pulling manifest"},
        {"status": "pulling abc", "digest": "sha256:abc", "total": 10},
        {"status": "pulling abc", "digest": "sha256:abc", "total": 10, "completed": 10},
        {"status": "success"},
    ]
    respx.post(f"{URL}/api/pull").respond(200, content=b"\n".join(json.dumps(line).encode() for line in lines))
    seen = [progress async for progress in client.pull("m")]
    assert [(p.status, p.total, p.completed) for p in seen] == [
        ("pulling manifest", None, 0),
        ("pulling abc", 10, 0),
        ("pulling abc", 10, 10),
        ("success", None, 0),
    ]


@respx.mock
async def test_a_download_that_ends_without_success_has_failed(client: OllamaClient) -> None:
    respx.post(f"{URL}/api/pull").respond(200, content=b'{"status":"pulling manifest"}\n')
    pull = client.pull("m")
    await anext(pull)
    with pytest.raises(PullFailed, match="ended early"):
        await anext(pull)


@respx.mock
async def test_progress_in_another_shape_is_unreadable(client: OllamaClient) -> None:
    respx.post(f"{URL}/api/pull").respond(200, content=b'{"status":7}\n')
    with pytest.raises(UnreadableAnswer):
        await anext(client.pull("m"))


@pytest.mark.parametrize(
    ("model", "cloud"),
    [
        ("x:cloud", True),
        ("x:8b-cloud", True),
        ("X:8B-Cloud", True),
        ("registry.ollama.ai/library/x:cloud", True),
        ("host:5000/x/y:480b-cloud", True),
        ("x-cloud", True),
        ("x", False),
        ("x:local", False),
        ("x-cloud:local", False),
        ("cloud", False),
        ("cloudy:8b", False),
        ("x:cloud-8b", False),
        ("cloud:11434/x:7b", False),
    ],
)
def test_names_that_leave_the_machine_are_known(model: str, cloud: bool) -> None:
    assert is_cloud(model) is cloud


@respx.mock
async def test_a_cloud_model_is_refused_before_anything_is_sent(client: OllamaClient) -> None:
    route = respx.route().respond(200)
    with pytest.raises(CloudModelRefused):
        async with client.chat(ChatRequest(model="x:cloud", messages=())):
            pass
    with pytest.raises(CloudModelRefused):
        async with client.generate(GenerateRequest(model="x:cloud", prompt="p")):
            pass
    with pytest.raises(CloudModelRefused):
        await client.embed(EmbedRequest(model="x:cloud", input=()))
    with pytest.raises(CloudModelRefused):
        await client.load("x:cloud")
    with pytest.raises(CloudModelRefused):
        await anext(client.pull("x:cloud"))
    assert not route.called


async def test_a_cloud_model_is_asked_where_that_is_allowed() -> None:
    assert (await sent_by_chat(ChatRequest(model="x:cloud", messages=())))["model"] == "x:cloud"


@pytest.mark.parametrize(
    ("proxies", "through"),
    [
        ({}, False),
        ({"HTTPS_PROXY": "http://proxy.invalid:1"}, True),
        ({"ALL_PROXY": "http://proxy.invalid:1"}, True),
        ({"HTTPS_PROXY": "http://proxy.invalid:1", "NO_PROXY": "gpu2.lan"}, False),
        ({"HTTP_PROXY": "http://proxy.invalid:1"}, False),
    ],
)
def test_http2_is_left_where_a_proxy_of_the_environment_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str], through: bool
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    assert speaks_http2(ServerSettings(url="https://gpu2.lan", http2=True)) is not through
    assert speaks_http2(ServerSettings(url="https://127.0.0.1", http2=True))
    assert speaks_http2(ServerSettings(url="h2c://gpu2.lan"))
    assert not speaks_http2(ServerSettings(url="https://gpu2.lan"))
    assert not speaks_http2(ServerSettings(url="http://gpu2.lan", http2=True))
