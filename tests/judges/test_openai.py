"""The client against a server on this machine: what is asked, kept, tried again, given up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from judge_toys import endpoint, item, raw_endpoint, said

from base.errors import UserError
from base.judges.judge import Item
from base.judges.openai import OpenAIJudge

YES = json.dumps({"evidence": ["blue"], "reason": "it says blue", "label": "yes", "confidence": 90})


def judge(url: str, folder: Path, **options: Any) -> OpenAIJudge:
    usual: dict[str, Any] = {"wait": 0.01, "timeout": 5.0, "parallel": 2, "cache": str(folder)}
    return OpenAIJudge(url, "some-model", **{**usual, **options})


def verdict(body: Mapping[str, Any], before: int) -> tuple[int, Mapping[str, str], str]:
    """Yes where the text is blue."""
    blue = '"the sea is blue"' in body["messages"][-1]["content"]
    return 200, {}, said(YES if blue else '{"label": "no", "confidence": 80, "evidence": ["blue"]}')


def test_a_verdict_with_evidence_and_probability(tmp_path: Path) -> None:
    with endpoint(verdict) as server:
        blue, red = judge(server.url, tmp_path)([item("the sea is blue"), item("red")])
    assert blue is not None
    assert (blue.label, blue.probability, blue.evidence, blue.dropped) == ("yes", 0.9, ("blue",), 0)
    assert blue.reason == "it says blue"
    assert red is not None
    assert (red.label, red.evidence, red.dropped) == ("no", (), 1), "blue does not stand in the text"
    assert red.probability == pytest.approx(0.2)
    (body, _) = server.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some-model", 0, 512)


def test_what_was_asked_is_never_asked_again(tmp_path: Path) -> None:
    with endpoint(verdict) as server:
        first = judge(server.url, tmp_path)([item("the sea is blue")])
        assert judge(server.url, tmp_path, timeout=1.0)([item("the sea is blue")]) == first
        assert len(server.bodies) == 1
        judge(server.url, tmp_path, tokens=64)([item("the sea is blue")])
        assert len(server.bodies) == 2, "another request is another one"
    assert judge(server.url, tmp_path)([item("the sea is blue")]) == first, "the server is gone"


def test_faults_that_pass_are_tried_again_and_bounded(tmp_path: Path) -> None:
    def shaky(body: Mapping[str, Any], before: int) -> tuple[int, Mapping[str, str], str]:
        if "red" in body["messages"][-1]["content"].rsplit("The text", 1)[1]:
            return 503, {}, "busy"
        return (429, {"Retry-After": "0"}, "") if before == 0 else (200, {}, "{") if before == 1 else verdict(body, 0)

    with endpoint(shaky) as server:
        blue, red = judge(server.url, tmp_path, retries=2)([item("the sea is blue"), item("red")])
    assert blue is not None
    assert blue.label == "yes", "the third attempt"
    assert red is None, "missing, never no"
    assert len(server.bodies) == 3 + 3
    assert len(list(tmp_path.rglob("*.json"))) == 1, "a fault is not kept"


@pytest.mark.parametrize(
    "reply",
    [
        "I would say yes.",
        "",
        '{"label": "maybe"}',
        '{"label": "yes", "confidence": 700}',
        '{"label": "yes"',
        '["yes"]',
        "<think>{'label': 'yes'}",
        *(f'{{"label": "yes", "evidence": {json.dumps(value)}}}' for value in (5, 0, True, False, {"a": "blue"})),
        *(f'{{"label": "yes", "confidence": {value}}}' for value in ("1", "NaN", "1e999", "true", '"90"', "-0.5")),
        f'{{"label": "yes", "reason": {"[" * 900}{"]" * 900}, "evidence": 1}}',
        '<think>{"label": "no"}',
        'Well. <think> It is {"label": "no"}',
        f"{YES} <think>Or is it?",
        f"[THINK]It may be {YES}",
        f"{YES} <Reasoning>Or is it?",
        f"<think>So.</think> <think>Or {YES}",
        f'```json\n{YES}\n```\nNote that {{"label": "no"}} would be wrong.',
        f'{{"label": "no"}} {YES}',
        f'{YES} {{"label": "maybe"}}',
        '{"label": "no", "label": "yes"}',
        '{"evidence": ["it says {"label": "no"} there"], "label": "yes"}',
        '{"evidence": ["blue", {"label": "no"}',
    ],
)
def test_a_reply_of_another_form_is_missing(tmp_path: Path, reply: str) -> None:
    with endpoint(lambda body, before: (200, {}, said(reply))) as server:
        for _ in range(2):
            assert judge(server.url, tmp_path)([item("blue")]) == [None], "the second time from the cache"
        assert len(server.bodies) == 1, "it is a reply"


def test_why_replies_cannot_be_read_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with endpoint(lambda body, before: (200, {}, said('{"label": "yes", "evidence": 5}'))) as server:
        judge(server.url, tmp_path)([item("blue"), item("red")])
    assert "2 of 2 items without a verdict (2 unreadable; 2 with evidence that is no list)" in caplog.text


@pytest.mark.parametrize(
    ("confidence", "probability"), [("0.95", 0.95), ("1.0", 1), ("95", 0.95), ("99.5", 0.995), ("0", 0)]
)
def test_a_fraction_is_a_share(tmp_path: Path, confidence: str, probability: float) -> None:
    reply = said(f'{{"label": "yes", "confidence": {confidence}}}')
    with endpoint(lambda body, before: (200, {}, reply)) as server:
        (found,) = judge(server.url, tmp_path)([item("blue")])
    assert found is not None
    assert (found.label, found.probability) == ("yes", pytest.approx(probability))


@pytest.mark.parametrize(
    "reply",
    [
        "```json\n" + YES + "\n```",
        '<think>{"label": "no"} or so</think>\n' + YES,
        'Here: {"a": {"b": 1}} and ' + YES,
        '<thinking>{"label": "no"} or so</thinking>\n' + YES,
        '[THINK]{"label": "no"}[/THINK]' + YES,
        '<seed:think>{"label": "no"</seed:think>' + YES,
        f"{YES}\nSo: {YES}",
        '<think>{"label": "no", "label": "yes"}</think>' + YES,
        '{"evidence": ["</think>", "<think>", "{\\"label\\": \\"no\\"}"], "label": "yes"}',
    ],
)
def test_words_around_the_object_do_not_matter(tmp_path: Path, reply: str) -> None:
    with endpoint(lambda body, before: (200, {}, said(reply))) as server:
        (found,) = judge(server.url, tmp_path)([item("blue")])
    assert found is not None
    assert found.label == "yes"


def test_a_refusal_is_one_line_at_once(tmp_path: Path) -> None:
    with endpoint(lambda body, before: (401, {}, '{"error": "no such key"}')) as server:
        with pytest.raises(UserError, match=r"status 401: .*no such key"):
            judge(server.url, tmp_path, parallel=1)([item(str(n)) for n in range(20)])
        assert len(server.bodies) < 20, "the rest is not asked"


def test_a_slow_or_absent_endpoint_is_one_line(tmp_path: Path) -> None:
    with endpoint(verdict, takes=0.5) as server, pytest.raises(UserError, match="no reply to 1 items"):
        judge(server.url, tmp_path, timeout=0.05, retries=1)([item("blue")])
    with pytest.raises(UserError, match="no reply to 2 items"):
        judge(server.url, tmp_path, retries=0)([item("blue"), item("red")])


def test_no_more_requests_at_once_than_asked(tmp_path: Path) -> None:
    with endpoint(verdict, takes=0.02) as server:
        found = judge(server.url, tmp_path, parallel=3)([item(f"text {n}") for n in range(12)])
    assert all(found)
    assert server.most <= 3


def test_the_key_comes_from_the_environment_and_is_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sesame")
    asked: Item = item("the sea is blue")
    with endpoint(verdict) as server:
        one = judge(server.url, tmp_path, key="MY_KEY")
        one([asked])
    assert server.headers[0]["Authorization"] == "Bearer sesame"
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert "sesame" not in kept + repr(one) + json.dumps(one.config())


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = said('{"label": "yes"}').encode()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (CHUNKED + b"40\r\n" + WHOLE[:9], "IncompleteRead"),
        (CHUNKED + b"what?\r\n", "IncompleteRead"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP: SSH-2.0-OpenSSH_9.6"),
        (b"\x16\x03\x01\x02\n\x00\xff", "no HTTP"),
        (b"", "closed connection"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200, "more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "recursion"),
    ],
)
def test_a_broken_endpoint_is_tried_again_and_then_one_line(tmp_path: Path, reply: bytes, why: str) -> None:
    with raw_endpoint([reply]) as server:
        with pytest.raises(UserError, match=rf"no reply to 1 items \(.*{why}") as error:
            judge(server.url, tmp_path, retries=2)([item("blue")])
        assert server.asked == 3
    assert str(error.value).isprintable(), "whatever it sent"
    assert not list(tmp_path.rglob("*.json")), "a fault is not kept"


def test_what_is_cut_off_once_loses_nothing(tmp_path: Path) -> None:
    good = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + WHOLE
    with raw_endpoint([CHUNKED + b"40\r\n{", good]) as server:
        found = judge(server.url, tmp_path, retries=1, parallel=1)([item("blue"), item("red")])
        assert server.asked == 3
    assert all(found)


def test_what_never_answers_whole_is_missing_beside_what_does(tmp_path: Path) -> None:
    good = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + WHOLE
    with raw_endpoint([good, b"no\r\n"]) as server:
        first, second = judge(server.url, tmp_path, retries=1, parallel=1)([item("blue"), item("red")])
    assert first is not None
    assert second is None, "missing, never no"


def test_a_refusal_that_is_cut_off_is_one_line(tmp_path: Path) -> None:
    cut = b"HTTP/1.1 404 No Such Model\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"
    with raw_endpoint([cut]) as server, pytest.raises(UserError, match="status 404: No Such Model"):
        judge(server.url, tmp_path)([item("blue")])
