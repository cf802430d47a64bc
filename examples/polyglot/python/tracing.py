"""Spans, sent to the platform as OTLP/HTTP in its JSON encoding, off the way of requests."""

import json
import os
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass, field

MOST_WAITING = 2_048
BATCH = 512
PAUSE_SECONDS = 0.1
REQUEST_SECONDS = 2
INTERNAL, SERVER = 1, 2

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass
class Span:
    """A piece of work, and its place in a trace."""

    trace_id: str
    span_id: str
    parent: str
    sampled: bool
    name: str = ""
    kind: int = INTERNAL
    start: int = field(default_factory=time.time_ns)
    attributes: dict = field(default_factory=dict)
    error: str | None = None


def parent_of(headers):
    """Reads `traceparent` by the book: exactly one well-formed header counts, anything else begins a new trace."""
    found = headers.get_all("traceparent", [])
    match = TRACEPARENT.fullmatch(found[0].strip()) if len(found) == 1 else None
    if not match:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if int(trace_id, 16) == 0 or int(span_id, 16) == 0:
        return None
    return Span(trace_id, span_id, "", int(flags, 16) & 1 == 1)


class Tracer:
    """Sends finished spans in batches. What does not fit is dropped and counted."""

    def __init__(self, platform, service):
        self._url = platform.rstrip("/") + "/v1/traces"
        self._service = service
        self._waiting = deque()
        self._changed = threading.Condition()
        self.dropped = 0
        threading.Thread(target=self._send, name="spans", daemon=True).start()

    def span(self, name, kind, parent=None):
        """Begins a span below `parent`, or a new trace."""
        trace_id = parent.trace_id if parent else secrets.token_hex(16)
        sampled = parent.sampled if parent else True
        above = parent.span_id if parent else ""
        return Span(trace_id, secrets.token_hex(8), above, sampled, name, kind)

    def end(self, span):
        """Takes a finished span."""
        if not span.sampled:
            return
        with self._changed:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(encoded(span))
                self._changed.notify_all()
            else:
                self.dropped += 1

    def flush(self, limit):
        """Waits until everything is sent, at most `limit` seconds; answers how many spans are lost."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, limit)
            return self.dropped + len(self._waiting)

    def _send(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            time.sleep(PAUSE_SECONDS)
            with self._changed:
                batch = list(self._waiting)[:BATCH]
            if not self._post(batch):
                time.sleep(10 * PAUSE_SECONDS)
                continue
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()
                self._changed.notify_all()

    def _post(self, spans):
        """True if the batch is done with: taken, or refused for good."""
        resource = {"attributes": attributes_of({"service.name": self._service})}
        scope = {"scope": {"name": "ieum-example"}, "spans": spans}
        body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}).encode()
        request = urllib.request.Request(self._url, body, {"content-type": "application/json"})
        if token := os.environ.get("IEUM_TOKEN"):
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS):
                return True
        except urllib.error.HTTPError as error:
            if error.code == 429 or error.code >= 500:
                return False
            self.dropped += len(spans)
            return True
        except OSError:
            return False


def encoded(span):
    """A span in OTLP's JSON: ids in hex, 64-bit numbers as text."""
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(time.time_ns()),
        "attributes": attributes_of(span.attributes),
        "status": {"code": 2, "message": span.error} if span.error else {},
    }


def attributes_of(values):
    """Attributes in OTLP's JSON."""

    def value(of):
        return {"intValue": str(of)} if isinstance(of, int) else {"stringValue": of}

    return [{"key": key, "value": value(of)} for key, of in values.items()]
