from __future__ import annotations

import copy
import pickle

import pytest

from infrastructure.transport.errors import (
    ClientClosed,
    CloudModelRefused,
    ContextExceeded,
    ModelNotFound,
    NotAuthorized,
    OllamaError,
    Partial,
    Phase,
    PhaseTimeout,
    PullFailed,
    RequestRefused,
    ServerBusy,
    ServerFailed,
    ServerUnreachable,
    StreamBroken,
    UnreadableAnswer,
    WindowOverrun,
    may_move,
)
from infrastructure.transport.failures import failure
from tests.transport.recordings import Recorded, name_of, recorded

FAILED = [
    exchange
    for exchange in recorded()
    if exchange.status >= 400 and exchange.method == "POST" and exchange.path.startswith(("/api/", "/v1/"))
]
BY_CASE = {
    "chat foreign Origin": NotAuthorized,
    "chat stop as a string": RequestRefused,
    "chat format unknown": RequestRefused,
    "chat format number": RequestRefused,
    "chat option of the wrong type": RequestRefused,
    "generate no model": RequestRefused,
    "embed with a text model": ServerFailed,
    "pull unreachable whole": ServerFailed,
}


def expected(exchange: Recorded) -> type[OllamaError]:
    if exchange.case in BY_CASE:
        return BY_CASE[exchange.case]
    if exchange.status == 404:
        return ModelNotFound if exchange.model else RequestRefused
    if exchange.case.startswith(("long ", "native long prompt", "embed too long")):
        return ContextExceeded
    return RequestRefused


@pytest.mark.parametrize("exchange", FAILED, ids=name_of)
def test_every_recorded_refusal_has_its_error(exchange: Recorded) -> None:
    error = failure(exchange.status, exchange.body, model=exchange.model, server="gpu")
    assert type(error) is expected(exchange)
    assert error.server == "gpu"
    assert error.hint
    if isinstance(error, RequestRefused | ServerFailed):
        assert error.status == exchange.status
        assert error.message
        assert "{" not in error.message[:1]


def test_the_newer_server_tells_the_exact_length() -> None:
    for exchange in FAILED:
        if exchange.version == "0.32.15" and exchange.case == "long prompt, chat, truncate false":
            error = failure(exchange.status, exchange.body)
            assert isinstance(error, ContextExceeded)
            assert (error.prompt_tokens, error.window) == (15019, 512)
            return
    pytest.fail("the recording is not there")


def test_the_older_server_does_not_tell_the_length() -> None:
    error = failure(400, b'{"error":"the input length exceeds the context length"}')
    assert isinstance(error, ContextExceeded)
    assert (error.prompt_tokens, error.window) == (None, None)


def test_the_counts_are_read_from_the_words_when_the_fields_are_missing() -> None:
    error = failure(400, b'{"error":"request (70 tokens) exceeds the available context size (64 tokens), try"}')
    assert isinstance(error, ContextExceeded)
    assert (error.prompt_tokens, error.window) == (70, 64)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"no memory"}', "no memory"),
        (b'{"error":"{\\"error\\":{\\"code\\":500,\\"message\\":\\"no memory\\"}}"}', "no memory"),
        (b'{"error":{"message":"no memory","type":"api_error","param":null,"code":null}}', "no memory"),
        (b'{"type":"error","error":{"type":"api_error","message":"no memory"},"request_id":"r"}', "no memory"),
        (b'{"StatusCode":500,"Status":"500 Internal","error":"no memory"}', "no memory"),
        (b'{"detail":"no memory"}', "no memory"),
        (b"no memory\n", "no memory"),
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        (b"<html>", "an HTML page"),
        (b"{broken", "{broken"),
        (b"[1]", "[1]"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"", ""),
        (b"{}", ""),
    ],
)
def test_the_words_are_found_in_any_form_of_body(body: bytes, message: str) -> None:
    error = failure(500, body)
    assert isinstance(error, ServerFailed)
    assert error.message == message


def test_a_message_is_bounded() -> None:
    error = failure(500, b"x" * 100_000)
    assert isinstance(error, ServerFailed)
    assert len(error.message) == 2000


def test_errors_nested_without_end_are_read_in_bounded_depth() -> None:
    body: bytes = b'{"error":' * 900 + b'"deep"' + b"}" * 900
    assert isinstance(failure(400, body), RequestRefused)


@pytest.mark.parametrize("status", [429, 503])
def test_a_full_queue_is_busy(status: int) -> None:
    body = b'{"error":"server busy, please try again.  maximum pending requests exceeded"}'
    assert type(failure(status, body)) is ServerBusy


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>",
        b"no healthy upstream",
        b"no available server\n",
    ],
)
def test_a_proxy_with_no_server_behind_it_is_not_busy(body: bytes) -> None:
    error = failure(503, body)
    assert type(error) is ServerFailed
    assert error.status == 503


def test_a_refused_host_is_told_from_a_missing_password() -> None:
    host, password = failure(403, b""), failure(401, b"<h1>401 Authorization Required</h1>")
    assert isinstance(host, NotAuthorized)
    assert "Host" in host.hint
    assert isinstance(password, NotAuthorized)
    assert "token" in password.hint


def test_signing_in_for_a_cloud_model_is_the_hint() -> None:
    error = failure(401, b'{"error":"unauthorized","signin_url":"https://ollama.com/connect?x"}', model="m")
    assert "https://ollama.com/connect?x" in error.hint


def test_a_missing_model_comes_with_the_command_that_fetches_it() -> None:
    assert failure(404, b'{"error":"model \'qwen\' not found"}', model="qwen").hint == "ollama pull qwen"


def test_a_path_that_is_not_ollamas_is_not_a_missing_model() -> None:
    error = failure(404, b"404 page not found", model="qwen")
    assert isinstance(error, RequestRefused)
    assert "path prefix" in error.hint


def test_a_redirect_names_where_to() -> None:
    error = failure(307, b"", location="/api/chat")
    assert isinstance(error, RequestRefused)
    assert error.message == "/api/chat"


ALL = [
    ServerUnreachable("refused", server="s"),
    PhaseTimeout(Phase.FIRST_BYTE, server="s"),
    ServerBusy(server="s"),
    ModelNotFound("m", server="s"),
    CloudModelRefused("m:cloud", server="s"),
    ContextExceeded(5, 4, server="s"),
    RequestRefused(400, "no", server="s"),
    NotAuthorized(401, "no", server="s"),
    ServerFailed(500, "no", server="s"),
    StreamBroken(Partial("half", "th"), "reset", server="s"),
    UnreadableAnswer("no JSON", server="s"),
    WindowOverrun(5, 6, 8, server="s"),
    PullFailed("m", "no", server="s"),
    ClientClosed(server="s"),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_and_survives_copying(error: OllamaError) -> None:
    assert str(error).startswith("s: ")
    assert "\n" not in str(error)
    assert error.hint
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert vars(twin) == vars(error)
        assert str(twin) == str(error)


def test_every_number_of_an_error_about_the_window_has_its_name() -> None:
    assert str(ContextExceeded(15019, 4096, server="s")).endswith(": prompt tokens 15,019, num_ctx 4,096")
    assert "num" not in str(ContextExceeded())
    overrun = WindowOverrun(3900, 600, 4096, 3500, 596)
    assert str(overrun).endswith(
        ": prompt tokens 3,900, prompt tokens estimated 3,500, answer tokens 600, num_predict 596, num_ctx 4,096"
    )
    assert "estimated" not in str(WindowOverrun(3900, 600, 4096))


def test_what_to_set_when_the_window_was_too_small_is_said_in_numbers() -> None:
    assert WindowOverrun(3900, 600, 4096).hint == "set num_ctx of the lane to 8192, or num_predict to at most 196"
    assert WindowOverrun(9000, 10, 4096).hint == "set num_ctx of the lane to 16384"
    assert WindowOverrun(5, 1, 0).hint == WindowOverrun(5, 1, -1).hint == "set num_ctx of the lane to 8"
    assert all(name in ContextExceeded().hint for name in ("num_ctx", "OLLAMA_CONTEXT_LENGTH"))


def test_what_a_stream_said_before_it_broke_is_counted_not_shown() -> None:
    assert (
        str(StreamBroken(Partial("half", "th"), "reset"))
        == "The answer broke off in the middle: reset, after 6 characters"
    )
    assert str(StreamBroken(Partial(), "reset")) == "The answer broke off in the middle: reset"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"type":"exceed_context_size_error","n_prompt_tokens":-5,"n_ctx":512}}',
        b'{"error":{"type":"exceed_context_size_error","n_prompt_tokens":18446744073709551615,"n_ctx":512}}',
        b'{"error":"request (999999999999 tokens) exceeds the available context size (64 tokens), try"}',
    ],
)
def test_a_length_that_no_prompt_has_is_not_believed(body: bytes) -> None:
    error = failure(400, body)
    assert isinstance(error, ContextExceeded)
    assert (error.prompt_tokens, error.window) == (None, None)


def test_only_what_had_not_begun_may_move_to_another_server() -> None:
    movable = {type(error).__name__ for error in ALL if may_move(error)}
    assert movable == {"ServerUnreachable", "ServerBusy", "ModelNotFound", "ServerFailed"}
    assert may_move(PhaseTimeout(Phase.CONNECT))
    assert not may_move(PhaseTimeout(Phase.TOTAL))
    assert not may_move(ValueError())
