"""Judges that know the answer, do not, or say nothing, and an endpoint that behaves as told."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from base.judges.judge import Example, Item, Judgement, Rubric
from base.types import Message

RUBRIC = Rubric("Is it blue?", "blue", "not blue", Example("a", "blue", "it is"), Example("a", "red", "it is not"))


def item(output: str = "", reasoning: str = "", rubric: Rubric = RUBRIC, name: str = "colour") -> Item:
    """A text about a colour."""
    return Item(name, rubric, (Message("system", "s"), Message("user", "Which colour?")), reasoning, output)


@dataclass(frozen=True)
class Known:
    """Says yes where the text holds one of `words`; nothing where it holds `silent`."""

    name: str
    words: tuple[str, ...]
    coherent: bool = True
    silent: str = "never said"
    asked: list[Item] = field(default_factory=list, compare=False, repr=False)

    @property
    def spec(self) -> str:
        return f"known:{self.name}"

    def model(self) -> str:
        return self.name

    def config(self) -> Any:
        return [self.words, self.coherent, self.silent]

    def __call__(self, items: Sequence[Item]) -> list[Judgement | None]:
        self.asked.extend(items)
        return [self.one(item) for item in items]

    def one(self, item: Item) -> Judgement | None:
        if self.silent in item.text:
            return None
        if item.eval == "coherence":
            return Judgement("yes" if self.coherent and "garbled" not in item.text else "no", 0.9)
        found = tuple(word for word in self.words if word in item.text)
        return Judgement("yes" if found else "no", 0.9 if found else 0.2, found, "by its words")


Reply = Callable[
    [Mapping[str, Any], int], tuple[int, Mapping[str, str], str]
]  # (body, how often) -> status, headers, text


@dataclass
class Endpoint:
    """What an endpoint was asked, and how many requests it had at once."""

    url: str
    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    at_once: int = 0
    most: int = 0


def said(text: str) -> str:
    """A reply of an OpenAI-compatible endpoint."""
    return json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]})


@contextmanager
def endpoint(reply: Reply, takes: float = 0.0) -> Iterator[Endpoint]:
    """A server on this machine; `reply` also gets how often this very body came before."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                before = found.bodies.count(body)
                found.bodies.append(body)
                found.headers.append(dict(self.headers))
                found.at_once += 1
                found.most = max(found.most, found.at_once)
            time.sleep(takes)
            with lock:
                found.at_once -= 1
            status, headers, text = reply(body, before) if self.path == "/v1/chat/completions" else (404, {}, "no")
            data = text.encode()
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:  # whoever asked has gone
                pass

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class RawEndpoint:
    """A port, and how often it was asked."""

    url: str
    asked: int = 0


@contextmanager
def raw_endpoint(replies: Sequence[bytes]) -> Iterator[RawEndpoint]:
    """A server on this machine that sends these bytes, the last of them again and again, and closes the connection."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline()).strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            self.rfile.read(length)
            self.wfile.write(replies[min(found.asked, len(replies) - 1)])
            found.asked += 1

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        found = RawEndpoint(f"http://127.0.0.1:{server.server_address[1]}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
