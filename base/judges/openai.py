"""Any OpenAI-compatible endpoint as judge (a hosted model, vLLM, `transformers serve`, llama.cpp, ...).

Replies are kept on disk as they came, by the hash of what was asked, so that nothing is paid for twice. Faults of the network are
tried again a few times, then they are missing; a reply that is not the JSON asked for is missing, and so is one with two different
labels or with a thought that has no end. A confidence that is a fraction, up to 1.0, is a share (0.95 is 95 of 100); a whole 1 may
be either, and its reply is missing.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import UserError
from base.judges.asking import form_key, full_question
from base.judges.judge import LABELS, Item, Judgement, cited
from base.spec import content_key
from base.store.files import read_json, write_json

log = logging.getLogger(__name__)
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)  # statuses that may be better the next time
LONGEST_WAIT = 60.0  # seconds, also where a server asks for more
LARGEST = 1 << 20  # bytes of a reply that are read
# No connection, out of time; cut off, no HTTP; no JSON, brackets without end.
_NO_REPLY = (OSError, http.client.HTTPException, ValueError, RecursionError)
# Of a thought: <think>, <thinking>, <seed:think>, [THINK], as models write them.
_THOUGHT = r"</?(?:\w{1,20}:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad)>|\[/?think\]"
_MARK = re.compile(_THOUGHT + r'|\{(?=\s*")', re.IGNORECASE)
_MARK_OR_END = re.compile(_THOUGHT + r"|[{}]", re.IGNORECASE)


class Fault(Exception):
    """The endpoint gave no reply, or one that cannot be read; the message says why."""


@dataclass(frozen=True)
class OpenAIJudge:
    """`openai:URL#MODEL`, with options behind commas. URL is that of the API, e.g. http://127.0.0.1:8000/v1.

    `tokens`: of a reply at most; `timeout`: seconds of a request; `retries`: further attempts; `wait`: seconds before the
    second, doubled for each; `parallel`: requests at once; `cache`: folder of replies; `key`: the environment variable that
    holds the key, if the endpoint wants one; `threshold`: from which probability on the label is yes (0.5: its own word).
    """

    url: str
    named: str
    tokens: int = 512
    timeout: float = 120.0
    retries: int = 4
    wait: float = 1.0
    parallel: int = 8
    cache: str = "~/.cache/edmund/judges"
    key: str = "OPENAI_API_KEY"
    threshold: float = 0.5

    @property
    def spec(self) -> str:
        return f"openai:{self.url}#{self.named}"

    @property
    def name(self) -> str:
        return f"openai-{self.named.rsplit('/', 1)[-1]}"

    def model(self) -> str:
        return f"{self.url}#{self.named}"

    def config(self) -> Any:
        return [form_key(full_question), self.tokens, self.threshold]

    def __call__(self, items: Sequence[Item]) -> list[Judgement | None]:
        """None: no reply, or one that is not the JSON asked for.

        Raises:
            UserError: the endpoint refuses requests of this kind (key, model, address), or answers none of them.
        """
        if not items:
            return []
        stop = threading.Event()  # a refusal of one is a refusal of all

        def ask(item: Item) -> str | None:
            try:
                return self._reply(self._body(item), stop)
            except Fault as fault:
                faults[str(fault)] += 1
            except UserError:
                stop.set()
                raise
            return None

        faults: Counter[str] = Counter()
        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            replies = list(pool.map(ask, items))
        if faults and not any(reply is not None for reply in replies):
            raise UserError(f"judge {self.spec}: no reply to {len(items)} items ({faults.most_common(1)[0][0]})")
        found: list[Judgement | None] = []
        for reply, item in zip(replies, items, strict=True):
            try:
                found.append(None if reply is None else self._judgement(reply, item))
            except Fault as fault:
                faults[str(fault)] += 1
                found.append(None)
        if lost := found.count(None):
            why = "".join(f"; {count} {what}" for what, count in faults.most_common(3))
            unread = sum(each is None and reply is not None for each, reply in zip(found, replies, strict=True))
            log.warning(
                "%s: %d of %d items without a verdict (%d unreadable%s)", self.spec, lost, len(items), unread, why
            )
        return found

    def _body(self, item: Item) -> dict[str, Any]:
        messages = [{"role": message.role, "content": message.content} for message in full_question(item)]
        return {
            "model": self.named,
            "messages": messages,
            "max_tokens": self.tokens,
            "temperature": 0,
            "seed": 0,
            "stream": False,
        }

    def _reply(self, body: dict[str, Any], stop: threading.Event) -> str:
        """The text of a reply, from the cache or from the endpoint, which is asked a few times."""
        place = content_key([self.url, body])
        kept = Path(self.cache).expanduser() / place[:2] / f"{place}.json"
        if stored := read_json(kept):
            return str(stored["reply"])
        for attempt in range(self.retries + 1):
            if stop.is_set():
                raise Fault("stopped")
            try:
                reply = self._post(body)
                break
            except _Again as again:
                if attempt == self.retries:
                    raise Fault(str(again)) from again
                pause = self.wait * 2**attempt * random.uniform(0.75, 1.25)
                time.sleep(min(LONGEST_WAIT, max(pause, again.after)))
        write_json(kept, {"url": self.url, "model": self.named, "reply": reply})
        return reply

    def _post(self, body: dict[str, Any]) -> str:
        headers = {"Content-Type": "application/json"}
        if secret := os.environ.get(self.key):
            headers["Authorization"] = f"Bearer {secret}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return _text(response.read(LARGEST))
        except urllib.error.HTTPError as error:
            if error.code in AGAIN:
                raise _Again(f"status {error.code}", _seconds(error.headers.get("Retry-After"))) from error
            raise UserError(f"judge {self.spec}: the endpoint refuses (status {error.code}: {_said(error)})") from error
        except _NO_REPLY as error:
            raise _Again(_why(error)) from error

    def _judgement(self, reply: str, item: Item) -> Judgement:
        said = _object(reply)
        sure, passages, reason = said.get("confidence", 100), said.get("evidence"), said.get("reason")
        if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 100:
            raise Fault("with a confidence that is none")
        if isinstance(sure, int) and sure == 1:
            raise Fault("with a confidence of 1, of 1 or of 100")
        passages = [] if passages is None else [passages] if isinstance(passages, str) else passages
        if not isinstance(passages, list):
            raise Fault("with evidence that is no list")
        share = sure if isinstance(sure, float) and sure <= 1 else sure / 100
        probability = share if said["label"] == "yes" else 1 - share
        evidence, dropped = cited([p for p in passages if isinstance(p, str)], item.text)
        yes = said["label"] == "yes" if self.threshold == 0.5 else probability >= self.threshold
        why = reason if isinstance(reason, str) else ""
        return Judgement("yes" if yes else "no", probability, evidence, why, None, dropped)


class _Again(Exception):
    """No reply this time; `after`: seconds to wait at least."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


def _text(data: bytes) -> str:
    said = json.loads(data)
    try:
        content = said["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise ValueError("a reply of another form than an OpenAI-compatible one") from None
    return content if isinstance(content, str) else ""


def _said(error: urllib.error.HTTPError) -> str:
    """The beginning of what a refusal says."""
    try:
        return _line(error.read(2000).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):  # cut off
        return _line(error.reason)


def _why(error: Exception) -> str:
    """Why there is no reply, in a line; of what does not speak HTTP, what it sent."""
    said = _line(str(getattr(error, "reason", error)))
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
        return f"no HTTP: {said}"
    return said or type(error).__name__


def _line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:200]


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:  # a date
        return 0.0


def _one_label(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of these keys and values; its label is None where it has two different ones."""
    made = dict(pairs)
    return {**made, "label": None} if any(k == "label" and v != made[k] for k, v in pairs) else made


_DECODER = json.JSONDecoder(object_pairs_hook=_one_label)


def _closing(reply: str, start: int) -> int:
    """Where what begins with a brace ends, by its braces; without an end at the next mark of a thought, or with the reply."""
    depth = 0
    for mark in _MARK_OR_END.finditer(reply, start):
        if mark[0] not in "{}":
            return mark.start()
        depth += 1 if mark[0] == "{" else -1
        if not depth:
            return mark.end()
    return len(reply)


def _object(reply: str) -> dict[str, Any]:
    """The last JSON object of a reply that has a label, `yes` or `no`, behind whatever a model thought before it.

    Raises:
        Fault: there is none, a thought has no end, or labels differ.
    """
    found: list[dict[str, Any]] = []
    at, thinks = 0, False
    while start := _MARK.search(reply, at):
        at = start.end()
        if start[0] != "{":
            found, thinks = [], start[0][1] != "/"
            continue
        try:
            value, at = _DECODER.raw_decode(reply, start.start())
        except (ValueError, RecursionError):
            at = max(at, _closing(reply, start.start()))  # a label inside of it may be one that it cites
            continue
        if isinstance(value, dict) and "label" in value:
            found.append(value)
    if thinks:
        raise Fault("with a thought that has no end")
    labels = {label.strip().lower() if isinstance(label := each["label"], str) else "" for each in found}
    if len(labels) != 1 or not labels <= {*LABELS}:
        raise Fault("with two labels" if len(labels) > 1 else "without a label")
    return {**found[-1], "label": labels.pop()}
