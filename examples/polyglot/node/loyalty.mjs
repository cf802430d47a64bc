// loyalty: points for orders. A participant of the saga `place-order-polyglot`, in Node.
//
//   node loyalty.mjs --platform http://127.0.0.1:8500 --listen 127.0.0.1:0 --data DIR [--linger SECONDS]
//
// With --lifeline it ends at once when standard input ends: who started it is gone.
//
// POST /points          awards a point per 100 of what an order costs (the step)
// POST /points/cancel   takes them back (its undo)
// GET  /points/ORDER    what the ledger says of an order

import http from "node:http";
import { parseArgs } from "node:util";
import { Ledger, LedgerFailed, problem } from "./ledger.mjs";
import { Registration, Tracer, pause, traceParent } from "./platform.mjs";

const NAME = "loyalty";
const TABLES = `
  CREATE TABLE IF NOT EXISTS points (
    id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    round INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('award', 'take-back')),
    points INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS points_by_order ON points (order_id);
  CREATE INDEX IF NOT EXISTS points_by_call ON points (saga, step, round);
`;
const MOST_BODY = 64 * 1024;
const LONGEST_ID = 200;
const DRAIN_MS = 10_000;
const FLUSH_MS = 2_000;
const FORGET_MS = 3_600_000;

const ROUTES = {
  "POST /points": (request) => participate(request, "do", award),
  "POST /points/cancel": (request) => participate(request, "undo", takeBack),
  "GET /points/{order}": ofOrder,
  "GET /health": health,
};

/** The step: what it writes commits with its answer. */
function award(ledger, call, { orderId, userId, amount }) {
  const points = Math.floor(amount / 100);
  write(ledger, call, { order_id: orderId, user_id: userId, kind: "award", points });
  return { status: 201, body: { orderId, points } };
}

/** Its undo: takes back what the same step of the same round awarded. */
function takeBack(ledger, call) {
  const sql = "SELECT order_id, user_id, points FROM points WHERE saga = ? AND step = ? AND round = ?";
  const awarded = ledger.get(sql, [call.saga, call.step, call.round]);
  const points = -Number(awarded.points);
  write(ledger, call, { ...awarded, kind: "take-back", points });
  return { status: 200, body: { orderId: awarded.order_id, points } };
}

function write(ledger, call, { order_id, user_id, kind, points }) {
  ledger.run(
    "INSERT INTO points (order_id, user_id, saga, step, round, kind, points) VALUES (?, ?, ?, ?, ?, ?, ?)",
    [order_id, user_id, call.saga, call.step, call.round, kind, points],
  );
}

function ofOrder({ ledger, path }) {
  const orderId = decodeURIComponent(path.slice("/points/".length));
  const rows = ledger.all("SELECT kind, points FROM points WHERE order_id = ? ORDER BY id", [orderId]);
  const count = (kind) => rows.filter((row) => row.kind === kind).length;
  const live = count("award") - count("take-back");
  return { status: 200, body: { orderId, live, entries: rows.length } };
}

function health({ service }) {
  const check = service.stopping ? { status: "failed", error: "the service is stopping" } : { status: "ok" };
  const status = service.stopping ? "degraded" : "healthy";
  return { status: service.stopping ? 503 : 200, body: { status, checks: { accepting: check } } };
}

/** A call of a saga's step or of its undo. */
async function participate(request, op, effect) {
  const { headers, ledger, service, span } = request;
  if (headers["x-user-id"]) return problem(403, "forbidden", "This is for services, not for users");
  const call = callOf(headers, op);
  if (!call) {
    const headers = "Ieum-Saga-Id, Ieum-Step, Ieum-Epoch, Idempotency-Key";
    return problem(400, "invalid-request", "A step is called with the headers of its saga", headers);
  }
  const order = await bodyOf(request, op);
  if (order.status) return order;
  Object.assign(span.attributes, { "ieum.saga.id": call.saga, "order.id": order.orderId });
  const inner = service.tracer.span(`ledger ${op}`, "internal", span);
  try {
    return ledger.participate(call, (ledger) => effect(ledger, call, order));
  } finally {
    inner.end();
  }
}

/** Reads the headers of a call; undefined if they do not belong together. */
function callOf(headers, op) {
  const { "ieum-saga-id": saga, "ieum-step": step, "ieum-epoch": epoch, "idempotency-key": key } = headers;
  const isId = (text) => text !== undefined && text.length > 0 && text.length <= LONGEST_ID;
  if (!isId(saga) || !isId(step) || !isNumber(epoch) || !key?.startsWith(`${saga}/${step}/`)) return undefined;
  const [round, undo, ...more] = key.slice(saga.length + step.length + 2).split("/");
  const asked = undo === undefined ? "do" : undo;
  if (!isNumber(round) || asked !== op || more.length > 0) return undefined;
  return { saga, step, round: Number(round), epoch: Number(epoch), op };
}

const isNumber = (text) => /^\d{1,15}$/.test(text ?? "");

/** The order that a call is about, or the problem with it. */
async function bodyOf({ stream, headers }, op) {
  const invalid = (detail) => problem(400, "invalid-request", "The body makes no sense", detail);
  if (!/^application\/json\s*(;|$)/i.test(headers["content-type"] ?? "")) {
    return problem(415, "unsupported-media-type", "The body must be application/json");
  }
  const chunks = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MOST_BODY) return problem(413, "too-large", `The body is larger than ${MOST_BODY} bytes`);
    chunks.push(chunk);
  }
  let body;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    return invalid(error.message);
  }
  // Half of a surrogate pair, which JSON can hold and a database cannot, does not come back the same.
  const isText = (of) => typeof of === "string" && Buffer.from(of).toString() === of;
  const isId = (of) => isText(of) && of.length > 0 && Buffer.byteLength(of) <= LONGEST_ID;
  if (!isId(body?.orderId)) return invalid("orderId must be a text of 1 to 200 bytes");
  if (op === "undo") return { orderId: body.orderId };
  if (!isId(body.userId)) return invalid("userId must be a text of 1 to 200 bytes");
  if (!Number.isSafeInteger(body.amount) || body.amount < 0) return invalid("amount must be a whole number from 0");
  return { orderId: body.orderId, userId: body.userId, amount: body.amount };
}

class Service {
  stopping = false;
  #running = 0;

  constructor(ledger, tracer) {
    this.ledger = ledger;
    this.tracer = tracer;
    this.server = http.createServer((request, response) => this.#answer(request, response));
    Object.assign(this.server, { maxConnections: 256, requestTimeout: 30_000, keepAliveTimeout: 30_000 });
  }

  async #answer(stream, response) {
    this.#running += 1;
    const { path, route, handler, refusal } = find(stream);
    const parent = traceParent(stream.headers.traceparent);
    const span = this.tracer.span(`${stream.method} ${route}`, "server", parent);
    span.attributes = { "http.request.method": stream.method, "http.route": route };
    const request = { stream, headers: stream.headers, path, ledger: this.ledger, service: this, span };
    let answer;
    try {
      answer = refusal ?? (await handler(request));
    } catch (error) {
      answer = this.#failed(error);
    }
    send(response, answer, this.stopping || !stream.complete);
    span.attributes["http.response.status_code"] = answer.status;
    if (answer.status >= 500) span.error = String(answer.status);
    if (route !== "/health") span.end();
    this.#running -= 1;
  }

  #failed(error) {
    if (error instanceof URIError) return problem(400, "invalid-request", "The path makes no sense");
    console.error("a request failed:", error);
    if (error instanceof LedgerFailed) {
      // Nobody knows what is on the disk. A new start reads it, and makes it durable first.
      setImmediate(() => process.exit(1));
      return problem(503, "ledger-failed", "The ledger failed; the service starts again");
    }
    return problem(500, "internal", "The request failed here; the log says why");
  }

  /** Waits until no request runs, or the deadline; answers how many are abandoned. */
  async drain() {
    this.server.close();
    this.server.closeIdleConnections();
    const deadline = Date.now() + DRAIN_MS;
    while (this.#running > 0 && Date.now() < deadline) await pause(10);
    return this.#running;
  }
}

/** The route of a request: its template and its handler, or why there is none. */
function find({ method, url }) {
  const path = url.split("?", 1)[0];
  const route = /^\/points\/(?!cancel$)[^/]+$/.test(path) ? "/points/{order}" : path;
  const handler = ROUTES[`${method} ${route}`];
  if (handler) return { path, route, handler };
  const allowed = Object.keys(ROUTES).filter((name) => name.endsWith(` ${route}`)).map((name) => name.split(" ")[0]);
  const unknown = problem(404, "not-found", "There is no such thing");
  if (allowed.length === 0) return { route: "{unmatched}", refusal: unknown };
  const refusal = problem(405, "method-not-allowed", `Only ${allowed.join(", ")} is allowed here`);
  return { route, refusal: { ...refusal, headers: { allow: allowed.join(", ") } } };
}

function send(response, { status, body, headers }, close) {
  const text = JSON.stringify(body);
  const type = status >= 400 ? "application/problem+json" : "application/json";
  const length = Buffer.byteLength(text);
  const last = close ? { connection: "close" } : {};
  response.writeHead(status, { "content-type": type, "content-length": length, ...headers, ...last }).end(text);
}

function settings() {
  const text = { type: "string" };
  const options = { platform: text, listen: text, data: text, linger: text, lifeline: { type: "boolean" } };
  const { values } = parseArgs({ options });
  const { platform = "http://127.0.0.1:8500", listen = "127.0.0.1:0", data = ".", linger = "1" } = values;
  const address = /^(.+):(\d{1,5})$/.exec(listen);
  if (!address) throw new Error("--listen takes HOST:PORT");
  if (!(Number(linger) >= 0)) throw new Error("--linger takes seconds");
  if (values.lifeline) process.stdin.resume().on("close", () => process.exit(3));
  return { platform, host: address[1], port: Number(address[2]), data, linger: Number(linger) * 1_000 };
}

async function main() {
  const { platform, host, port, data, linger } = settings();
  const ledger = await Ledger.open(data, NAME, TABLES);
  ledger.forget();
  setInterval(() => ledger.forget(), FORGET_MS).unref();
  const service = new Service(ledger, new Tracer(platform, NAME));
  await new Promise((resolve, reject) => service.server.once("error", reject).listen(port, host, resolve));
  const at = service.server.address();
  const registration = new Registration(platform, { name: NAME, owner: "team-marketing", host, port: at.port });
  console.log(`${NAME} listens on http://${host}:${at.port}`);
  void registration.keep();
  const stop = async () => {
    if (service.stopping) process.exit(1);
    service.stopping = true;
    await registration.leave();
    await pause(linger);
    const abandoned = await service.drain();
    const lost = await service.tracer.flush(FLUSH_MS);
    ledger.close();
    console.error(`stopped: ${abandoned} requests abandoned, ${lost} spans lost`);
    process.exit(0);
  };
  process.on("SIGTERM", stop).on("SIGINT", stop);
}

await main().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});
