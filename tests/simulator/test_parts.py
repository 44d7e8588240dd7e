"""The small pure parts: names, Go's JSON, times and durations, options, tokens, filters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.simulator.caching import common
from infrastructure.simulator.filters import Delta, RepeatGuard, StopWords, ThinkingFilter, ToolFilter
from infrastructure.simulator.golang import dump, parse_duration, timestamp
from infrastructure.simulator.models import ModelStore
from infrastructure.simulator.names import parse_name
from infrastructure.simulator.options import OptionError, checked, options_of
from infrastructure.simulator.reading import WireError, read_fields, read_keep_alive, read_think
from infrastructure.simulator.settings import ModelSpec
from infrastructure.simulator.templates import Conversation, Message, TemplateError, render_chatml, render_custom
from infrastructure.simulator.tokens import ByteTokenizer, WordTokenizer


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("m", "m:latest"),
        ("m:7b", "m:7b"),
        ("someone/m", "someone/m:latest"),
        ("registry.ollama.ai/library/m:latest", "m:latest"),
        ("127.0.0.1:1/library/m", "127.0.0.1:1/library/m:latest"),
        ("a b", None),
        ("a b/c:d:e", None),
        ("", None),
        ("a/b/c/d", None),
        ("m:", None),
    ],
)
def test_names(text: str, shortest: str | None):
    name = parse_name(text)

    assert (name.shortest if name else None) == shortest


def test_names_that_differ_in_case_are_one_model():
    assert parse_name("Llama3:8B").key == parse_name("llama3:8b").key


def test_json_is_escaped_as_go_does():
    text = '<b>&\u2028\u0085\x1b\n"é🙂'

    assert dump({"t": text}).decode() == '{"t":"\\u003cb\\u003e\\u0026\\u2028\u0085\\u001b\\n\\"é🙂"}'
    assert json.loads(dump({"t": "\ud800"})) == {"t": "?"}


@given(st.recursive(st.text() | st.integers(-(2**53), 2**53) | st.none(), st.lists))
def test_escaped_json_says_the_same(value: object):
    assert json.loads(dump(value)) == value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1970-01-01T00:00:00Z"), (1.5, "1970-01-01T00:00:01.5Z"), (1767225600.25, "2026-01-01T00:00:00.25Z")],
)
def test_times_drop_trailing_zeros(seconds: float, text: str):
    assert timestamp(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("10m", 600), ("1h30m", 5400), ("-1s", -1), ("1.5h", 5400), ("20ms", 0.02)]
)
def test_durations(text: str, seconds: float):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "error"), [("10", "missing unit"), ("abc", "invalid"), ("", "invalid"), ("5x", "invalid")]
)
def test_bad_durations_are_errors_in_gos_words(text: str, error: str):
    with pytest.raises(ValueError, match=error):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), (0, 0), (30, 30), (1.5, 1.5), (-1, float("inf")), ("-1m", float("inf")), ("5m", 300), ("0", 0)],
)
def test_keep_alive(value: object, seconds: float | None):
    assert read_keep_alive(value) == seconds


@pytest.mark.parametrize("value", [True, "10", [], {}])
def test_bad_keep_alive(value: object):
    with pytest.raises(WireError):
        read_keep_alive(value)


def test_think_is_a_boolean_or_a_level():
    assert [read_think(value) for value in (None, True, False, "low", "max")] == [None, True, False, True, True]
    for value in ("enormous", 3):
        with pytest.raises(WireError):
            read_think(value)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "missing request body"),
        (b"[1]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        (b'{"model":"words",}', "invalid character '}' looking for beginning of object key string"),
        (b'{"model": "words", ', "unexpected EOF"),
        (b'"a', "unexpected EOF"),
        (b'{"model":"wor\nds"}', "invalid character '\\n' in string literal"),
        (b'{"model":?}', "invalid character '?' looking for beginning of value"),
    ],
)
def test_unreadable_bodies_are_refused_in_gos_words(body: bytes, error: str):
    with pytest.raises(WireError) as caught:
        read_fields(body, "ChatRequest")
    assert (caught.value.status, caught.value.text) == (400, error)


@pytest.mark.parametrize(
    ("field", "method", "error"),
    [
        ("text", "text", "number into Go struct field ChatRequest.x of type string"),
        ("flag", "flag", "number into Go struct field ChatRequest.x of type bool"),
        ("mapping", "mapping", "number into Go struct field ChatRequest.x of type map[string]interface {}"),
        ("whole", "whole", "number 1.5 into Go struct field ChatRequest.x of type int"),
    ],
)
def test_values_of_the_wrong_type_are_named(field: str, method: str, error: str):
    fields = read_fields(b'{"x": 1.5}', "ChatRequest")
    with pytest.raises(WireError) as caught:
        getattr(fields, method)("x")
    assert caught.value.text == f"json: cannot unmarshal {error}"


def test_field_names_match_in_any_case_and_only_the_first_value_is_read():
    assert read_fields(b'{"MODEL": "m"} rubbish', "ChatRequest").text("model") == "m"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_ctx": "many"}, 'option "num_ctx" must be of type integer'),
        ({"num_ctx": True}, 'option "num_ctx" must be of type integer'),
        ({"temperature": "a"}, 'option "temperature" must be of type float32'),
        ({"use_mmap": 3}, 'option "use_mmap" must be of type boolean'),
        ({"stop": "x"}, 'option "stop" must be of type array'),
        ({"stop": [1]}, 'option "stop" must be of an array of strings'),
    ],
)
def test_options_of_the_wrong_type(options: dict, error: str):
    with pytest.raises(OptionError, match=error):
        checked(options)


def test_options_have_defaults_and_unknown_ones_are_ignored():
    options = options_of(checked({"sparkle": 1, "num_ctx": 1.7, "seed": None}), shift=None, num_ctx=4096, longest=32768)

    assert (options.load.num_ctx, options.load.num_batch, options.load.shift, options.seed) == (4, 512, True, -1)
    assert options_of({}, shift=False, num_ctx=4096, longest=2048).load.num_ctx == 2048


# ------------------------------------------------------------------------------------------- tokens


def test_bytes_are_tokens_but_for_th_control_tokens_and_known_words():
    tokenizer = ByteTokenizer(("alpha", " bravo"))

    assert tokenizer.encode("<|im_start|>hi there\n") == [260, 104, 105, 32, 256, 101, 114, 101, 10]
    assert tokenizer.encode("alpha bravo x") == [257, 258, 32, 120]
    assert tokenizer.decode(tokenizer.encode("alpha bravo théâtre")) == "alpha bravo théâtre"


@given(st.text())
def test_counting_agrees_with_encoding_and_nothing_is_lost(text: str):
    for tokenizer in (ByteTokenizer(("th e", " the", "one")), WordTokenizer()):
        ids = tokenizer.encode(text)
        assert tokenizer.count(text) == len(ids)
        assert tokenizer.decode(ids) == text.encode("utf-8", "replace").decode()


@given(st.text(alphabet="ab", max_size=40), st.text(alphabet="ab", max_size=40))
def test_the_longest_common_beginning(one: str, other: str):
    length = common(one, other)

    assert one[:length] == other[:length]
    assert length == min(len(one), len(other)) or one[length] != other[length]


# ------------------------------------------------------------------------------------------ filters


def cut(words: list[str], pieces: list[str]) -> tuple[str, bool]:
    stop = StopWords(words)
    out = ""
    for piece in pieces:
        text, stopped = stop.feed(piece)
        out += text
        if stopped:
            return out, True
    return out + stop.rest(), False


@given(st.text(alphabet="abc", max_size=30), st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3))
def test_stop_words_cut_at_the_first_one_however_the_text_is_pieced(text: str, words: list[str]):
    found = [at for word in words if (at := text.find(word)) >= 0]
    out, stopped = cut(words, list(text))

    assert stopped == bool(found)
    if not found:
        assert out == text
    else:  # token by token the server stops at the word that is complete first
        ends = min(text.find(word) + len(word) for word in words if word in text)
        assert text.startswith(out)
        assert len(out) <= ends


def test_a_stop_word_in_a_token_cuts_inside_it():
    assert cut(["lt"], ["alpha", " delta", " echo"]) == ("alpha de", True)


def test_the_guard_trips_at_the_thirty_second_equal_token():
    guard = RepeatGuard()

    assert [guard.trips(" again") for _ in range(32)] == [False] * 31 + [True]
    assert not guard.trips("else")


def total(deltas: list[Delta]) -> tuple[str, str, list[str]]:
    return (
        "".join(delta.content for delta in deltas),
        "".join(delta.thinking for delta in deltas),
        [use.name for delta in deltas for use in delta.tool_uses],
    )


@pytest.mark.parametrize(
    ("text", "content", "thinking"),
    [
        ("<think>let me</think>\n\nfine", "fine", "let me"),
        ("  <think>x</think>y", "y", "x"),
        ("no thought <think>x</think>", "no thought <think>x</think>", ""),
        ("<think>never closed", "", "never closed"),
        ("<thin", "<thin", ""),
        ("<think>a</thi b</think>c", "c", "a</thi b"),
    ],
)
def test_thinking_is_parted_from_the_answer(text: str, content: str, thinking: str):
    for size in (1, 3, 100):
        parts = ThinkingFilter()
        deltas = [parts.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert total([*deltas, parts.rest()])[:2] == (content, thinking)


CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'


@pytest.mark.parametrize(
    ("text", "content", "names"),
    [
        ("plain < text", "plain < text", []),
        (CALL, "", ["f"]),
        (f"first {CALL}\n{CALL} lost", "first ", ["f", "f"]),
        ('<tool_call>{"name": "f", "arguments": {', "", []),
        ("<tool_", "<tool_", []),
        ('<tool_call>{"name": 3, "arguments": {}}</tool_call>', "", []),
    ],
)
def test_tool_calls_are_taken_out_of_the_text(text: str, content: str, names: list[str]):
    for size in (1, 5, 1000):
        parts = ToolFilter(("f",))
        deltas = [parts.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert total([*deltas, parts.rest()])[::2] == (content, names)


CALLS = CALL.replace('"f"', '"get_weather"') + CALL.replace('"f"', '"get_time"').replace("1", "2")


@pytest.mark.parametrize(
    ("names", "uses"),
    [
        (("get_weather", "get_time"), [("get_weather", 1), ("get_time", 2)]),
        (("get", "get_weather", "get_time"), [("get_weather", 1), ("get_time", 2)]),
        (("get_weather",), [("get_weather", 1)]),
        (("get_time",), [("get_time", 1)]),  # with what the other name was called with
        (("read_file",), []),
    ],
)
def test_calls_of_tools_that_were_not_offered_are_dropped_as_ollama_drops_them(names, uses):
    for size in (1, 5, 1000):
        parts = ToolFilter(names)
        deltas = [parts.feed(CALLS[at : at + size]) for at in range(0, len(CALLS), size)]
        deltas.append(parts.rest())
        assert [(use.name, use.arguments["a"]) for delta in deltas for use in delta.tool_uses] == uses
        assert not any(delta.content for delta in deltas)


def test_llama_server_sees_a_call_only_behind_a_tag_with_a_line_break():
    for text, content, names in ((CALL, "", ["f"]), (CALL.replace("\n", ""), CALL.replace("\n", ""), [])):
        parts = ToolFilter(("f",), native=True)
        assert total([parts.feed(text), parts.rest()])[::2] == (content, names)


# ---------------------------------------------------------------------------------------- templates


def test_neighbours_of_one_role_are_merged_and_system_texts_come_first():
    messages = (Message("user", "a"), Message("user", "b"), Message("system", "s"))
    prompt = render_chatml(Conversation(messages))

    assert prompt.startswith("<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na\n\nb<|im_end|>\n")
    assert prompt.endswith("<|im_start|>system\ns<|im_end|>\n<|im_start|>assistant\n")


def test_tools_are_printed_as_go_prints_a_struct():
    tool = {
        "type": "function",
        "function": {
            "name": "f",
            "description": "does it",
            "parameters": {"type": "object", "$defs": {"a": {"type": "string"}}, "required": ["x", "y"]},
        },
    }
    prompt = render_chatml(Conversation((), (tool,)))

    assert "\n{f does it {object map[a:map[type:string]] <nil> [x y] {}}}\nAnswer with" in prompt


def test_a_template_with_logic_is_refused_aloud():
    assert render_custom("{{ .System }}|{{- .Prompt -}}|", system="s", prompt="p") == "s|p|"
    with pytest.raises(TemplateError):
        render_custom("{{ if .System }}x{{ end }}", system="s", prompt="p")


def test_copy_has_its_originals_digest_and_weights_and_a_changed_one_only_these() -> None:
    store = ModelStore([ModelSpec(name="one", text="a"), ModelSpec(name="two", text="a")], 0.0)
    original, other = store
    copy = store.copy("one", "three", 0.0)
    changed = store.copy("one", "four", 0.0, system="Be brief.")
    assert (copy.digest, copy.weights) == (original.digest, original.weights)
    assert changed.weights == original.weights
    assert len({original.digest, other.digest, changed.digest}) == 3
