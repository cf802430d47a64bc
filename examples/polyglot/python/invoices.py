"""invoices: a numbered invoice for each order. A participant of the saga `place-order-polyglot`, in Python.

  python3 invoices.py --platform http://127.0.0.1:8500 --listen 127.0.0.1:0 --data DIR [--linger SECONDS]

With --lifeline it ends at once when standard input ends: who started it is gone.

POST /invoices          issues the next invoice (the step)
POST /invoices/void     voids it; its number is not used again (its undo)
GET  /invoices/ORDER    what the ledger says of an order
"""

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from ledger import Answer, Call, Ledger, LedgerFailed, problem
from registration import Registration
from tracing import INTERNAL, SERVER, Tracer, parent_of

NAME = "invoices"
TABLES = """
CREATE TABLE IF NOT EXISTS invoices (
  number INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  saga TEXT NOT NULL,
  step TEXT NOT NULL,
  round INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('issued', 'void'))
) STRICT;
CREATE INDEX IF NOT EXISTS invoices_by_order ON invoices (order_id);
CREATE INDEX IF NOT EXISTS invoices_by_call ON invoices (saga, step, round);
"""
MOST_BODY = 64 * 1024
MOST_CONNECTIONS = 256
LONGEST_ID = 200
IDLE_SECONDS = 30
DRAIN_SECONDS = 10
FLUSH_SECONDS = 2
FORGET_SECONDS = 3_600


def issue(db, call, order):
    """The step: what it writes commits with its answer."""
    # Numbers have no gaps: the next one is taken in the transaction that uses it.
    number = db.execute("SELECT coalesce(max(number), 0) + 1 FROM invoices").fetchone()[0]
    row = (number, order["orderId"], order["userId"], call.saga, call.step, call.round)
    row += (order["amount"], order["currency"], "issued")
    db.execute("INSERT INTO invoices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return Answer(201, {"orderId": order["orderId"], "number": number})


def void(db, call, _order):
    """Its undo: voids what the same step of the same round issued."""
    sql = """UPDATE invoices SET status = 'void' WHERE saga = ? AND step = ? AND round = ?
             RETURNING number, order_id"""
    [voided] = db.execute(sql, (call.saga, call.step, call.round)).fetchall()
    return Answer(200, {"orderId": voided["order_id"], "number": voided["number"], "status": "void"})


def of_order(service, order_id):
    """What the ledger says of an order."""
    rows = service.ledger.read("SELECT status FROM invoices WHERE order_id = ?", (order_id,))
    live = sum(row["status"] == "issued" for row in rows)
    return Answer(200, {"orderId": order_id, "live": live, "entries": len(rows)})


def health(service):
    """Whether it takes work."""
    if service.stopping:
        check = {"status": "failed", "error": "the service is stopping"}
        return Answer(503, {"status": "degraded", "checks": {"accepting": check}})
    return Answer(200, {"status": "healthy", "checks": {"accepting": {"status": "ok"}}})


STEPS = {"/invoices": ("do", issue), "/invoices/void": ("undo", void)}
METHODS = {"/invoices": "POST", "/invoices/void": "POST", "/invoices/{order}": "GET", "/health": "GET"}


def route_of(path):
    """The template that a path fits."""
    if path in METHODS:
        return path
    return "/invoices/{order}" if re.fullmatch(r"/invoices/[^/]+", path) else None


def call_of(headers, op):
    """Reads the headers of a call; none if they do not belong together."""

    def one(name):
        found = headers.get_all(name, [])
        return found[0].strip() if len(found) == 1 else ""

    saga, step, epoch = one("Ieum-Saga-Id"), one("Ieum-Step"), one("Ieum-Epoch")
    match = re.fullmatch(r"(.+)/([0-9]{1,15})(/undo)?", one("Idempotency-Key"), re.ASCII)
    is_id = 0 < len(saga) <= LONGEST_ID and 0 < len(step) <= LONGEST_ID
    if not match or not is_id or not re.fullmatch(r"[0-9]{1,15}", epoch, re.ASCII):
        return None
    if match[1] != f"{saga}/{step}" or ("undo" if match[3] else "do") != op:
        return None
    return Call(saga, step, int(match[2]), int(epoch), op)


def trouble_with(order, op):
    """Why a body makes no sense; none if it does."""

    def is_text(name):
        # Encoding refuses half of a surrogate pair, which JSON can hold and a database cannot.
        return isinstance(order.get(name), str) and 0 < len(order[name].encode()) <= LONGEST_ID

    if not isinstance(order, dict):
        return "it must be an object"
    names = ["orderId"] if op == "undo" else ["orderId", "userId", "currency"]
    for name in names:
        if not is_text(name):
            return f"{name} must be a text of 1 to {LONGEST_ID} bytes"
    amount = order.get("amount")
    if op == "do" and (type(amount) is not int or not 0 <= amount < 2**53):
        return "amount must be a whole number from 0"
    return None


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: "Server"

    def do_GET(self):
        self._handle()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _handle(self):
        service = self.server
        path = self.path.split("?", 1)[0]
        route = route_of(path)
        span = service.tracer.span(f"{self.command} {route or '{unmatched}'}", SERVER, parent_of(self.headers))
        span.attributes = {"http.request.method": self.command, "http.route": route or "{unmatched}"}
        with service.running:
            try:
                answer = self._answer(path, route, span)
            except TimeoutError:
                self.close_connection = True
                answer = problem(408, "too-slow", "The body did not come in time")
            except LedgerFailed as error:
                print(f"the ledger failed: {error}", file=sys.stderr)
                answer = problem(503, "ledger-failed", "The ledger failed; the service starts again")
            except Exception as error:
                print(f"a request failed: {error!r}", file=sys.stderr)
                answer = problem(500, "internal", "The request failed here; the log says why")
            self._send(answer, route)
            span.attributes["http.response.status_code"] = answer.status
            if answer.status >= 500:
                span.error = str(answer.status)
            if route != "/health":
                service.tracer.end(span)
        if answer.body.get("code") == "ledger-failed":
            # Nobody knows what is on the disk. A new start reads it, and makes it durable first.
            os._exit(1)

    def _answer(self, path, route, span):
        body, trouble = self._read_body()
        if trouble:
            return trouble
        if route is None:
            return problem(404, "not-found", "There is no such thing")
        if self.command != METHODS[route]:
            return problem(405, "method-not-allowed", f"Only {METHODS[route]} is allowed here")
        if route == "/health":
            return health(self.server)
        if self.headers.get("X-User-Id"):
            return problem(403, "forbidden", "This is for services, not for users")
        if route in STEPS:
            return self._participate(*STEPS[route], body, span)
        return of_order(self.server, unquote(path.removeprefix("/invoices/")))

    def _participate(self, op, effect, body, span):
        """A call of a saga's step or of its undo."""
        call = call_of(self.headers, op)
        if not call:
            names = "Ieum-Saga-Id, Ieum-Step, Ieum-Epoch, Idempotency-Key"
            return problem(400, "invalid-request", "A step is called with the headers of its saga", names)
        if self.headers.get_content_type() != "application/json":
            return problem(415, "unsupported-media-type", "The body must be application/json")
        try:
            order = json.loads(body)
            trouble = trouble_with(order, op)
        except (ValueError, RecursionError) as error:
            trouble = str(error)
        if trouble:
            return problem(400, "invalid-request", "The body makes no sense", trouble)
        span.attributes |= {"ieum.saga.id": call.saga, "order.id": order["orderId"]}
        inner = self.server.tracer.span(f"ledger {op}", INTERNAL, span)
        try:
            return self.server.ledger.participate(call, lambda db: effect(db, call, order))
        finally:
            self.server.tracer.end(inner)

    def _read_body(self):
        """The body, or the problem with it; after a problem the connection is of no use."""
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not re.fullmatch("[0-9]{1,15}", length, re.ASCII):
            self.close_connection = True
            return b"", problem(411, "length-required", "The body must have a Content-Length")
        if int(length) > MOST_BODY:
            self.close_connection = True
            return b"", problem(413, "too-large", f"The body is larger than {MOST_BODY} bytes")
        return self.rfile.read(int(length)), None

    def _send(self, answer, route):
        text = json.dumps(answer.body, ensure_ascii=False).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/problem+json" if answer.status >= 400 else "application/json")
        self.send_header("Content-Length", str(len(text)))
        if answer.status == 405:
            self.send_header("Allow", METHODS[route])
        if self.server.stopping or self.close_connection:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format, *args):
        """Requests are in the trace."""


class Running:
    """Counts what runs, and waits for its end."""

    def __init__(self):
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self):
        with self._changed:
            self._count += 1

    def __exit__(self, *_):
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def drained(self, limit):
        """Waits for at most `limit` seconds; answers how many still run."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0, limit)
            return self._count


class Server(ThreadingHTTPServer):
    """A thread per connection, and no more connections than MOST_CONNECTIONS."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, ledger, platform):
        super().__init__(address, Handler)
        self.ledger = ledger
        self.tracer = Tracer(platform, NAME)
        self.running = Running()
        self.stopping = False
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def process_request(self, request, client_address):
        while not self._free.acquire(timeout=0.1):
            if self.stopping:
                self.shutdown_request(request)
                return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request, client_address):
        """A peer that went away is no news."""


def hold_lifeline():
    """Ends the process when standard input ends."""
    # Not through sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 4_096):
        pass
    os._exit(3)


def forget(ledger):
    """Once an hour, as long as the process lives."""
    while True:
        try:
            ledger.forget()
        except LedgerFailed as error:
            print(f"the ledger failed: {error}", file=sys.stderr)
            os._exit(1)
        time.sleep(FORGET_SECONDS)


def settings():
    """The command line."""

    def address(text):
        host, _, port = text.rpartition(":")
        return host, int(port)

    parser = argparse.ArgumentParser(prog=NAME)
    parser.add_argument("--platform", default="http://127.0.0.1:8500")
    parser.add_argument("--listen", default="127.0.0.1:0", type=address)
    parser.add_argument("--data", default=".")
    parser.add_argument("--linger", default=1.0, type=float, help="seconds between leaving and closing")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    return parser.parse_args()


def main():
    """Serves until SIGTERM or SIGINT."""
    args = settings()
    # Blocked before the first thread, so that all have it so, and waited for below: a handler would run
    # in the middle of whatever the main thread holds.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    if args.lifeline:
        threading.Thread(target=hold_lifeline, name="lifeline", daemon=True).start()
    ledger = Ledger(args.data, NAME, TABLES)
    server = Server(args.listen, ledger, args.platform)
    host, port = server.server_address[:2]
    threading.Thread(target=forget, args=(ledger,), name="retention", daemon=True).start()
    threading.Thread(target=server.serve_forever, args=(0.05,), name="accept", daemon=True).start()
    registration = Registration(args.platform, NAME, "team-accounting", host, port)
    print(f"{NAME} listens on http://{host}:{port}", flush=True)
    signal.sigwait(stops)
    # A second one ends it at once.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
    server.stopping = True
    registration.leave()
    time.sleep(args.linger)
    server.shutdown()
    server.server_close()
    abandoned = server.running.drained(DRAIN_SECONDS)
    lost = server.tracer.flush(FLUSH_SECONDS)
    ledger.close()
    print(f"stopped: {abandoned} requests abandoned, {lost} spans lost", file=sys.stderr)


if __name__ == "__main__":
    main()
