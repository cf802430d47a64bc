// A service over HTTP on node's standard library: routes, JSON, problem details, and an orderly stop.
//
// Settings come from the environment: NAME, PORT (0: a free one), DATA (the folder of its database),
// PLATFORM (the address of ieum's API; without it the service is alone).

import http from "node:http";
import { join } from "node:path";
import { Database } from "./database.mjs";

export const { NAME = "service", PORT = "0", DATA = ".", PLATFORM, LIFELINE } = process.env;
const LARGEST_BODY = 64 * 1024;
const DRAIN_MS = 5_000;

/** A refusal; its code is what programs read (RFC 9457). */
export class Problem extends Error {
  constructor(status, code, title) {
    super(title);
    Object.assign(this, { status, code });
  }
}

/** The database of this service: a file of its own in the data folder. */
export const database = () => new Database(join(DATA, `${NAME}.jsonl`));

/**
 * Serves `{"GET /orders/{id}": handler}` and answers where. A handler is given the path's parameters,
 * the query, the body and the headers, and answers `{status, body}`, or a body for 200.
 * `leave` is called first when the service is told to stop.
 */
export async function serve(routes, { leave = async () => {} } = {}) {
  const table = Object.entries({ "GET /health": () => ({ status: "healthy" }), ...routes }).map(compile);
  const server = http.createServer(async (request, response) => {
    const answer = await answerTo(table, request);
    const text = JSON.stringify(answer.body);
    const type = answer.status >= 400 ? "application/problem+json" : "application/json";
    // The header is for the reader of these examples: it says who answered.
    response.writeHead(answer.status, { "content-type": type, "x-service": NAME }).end(text);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(Number(PORT), "127.0.0.1", resolve));
  const { port } = server.address();
  const stop = async () => {
    await leave();
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(1), DRAIN_MS).unref();
  };
  process.once("SIGTERM", stop).once("SIGINT", stop);
  // Whoever started this holds the other end: when it is gone, so are we.
  if (LIFELINE) process.stdin.resume().on("close", () => process.exit(3));
  return { port, announce: () => console.log(`${NAME} listens on http://127.0.0.1:${port}`) };
}

function compile([route, handler]) {
  const [method, path] = route.split(" ");
  const pattern = path.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, "(?<$1>[^/]+)");
  return { method, pattern: new RegExp(`^${pattern}$`), handler };
}

async function answerTo(table, request) {
  try {
    const { route, params, query } = find(table, request);
    const body = request.method === "POST" ? await bodyOf(request) : undefined;
    const answer = await route.handler({ params, query, body, headers: request.headers });
    return Number.isInteger(answer?.status) && "body" in answer ? answer : { status: 200, body: answer };
  } catch (error) {
    if (!(error instanceof Problem)) console.error(`error: ${error.stack}`);
    const problem = error instanceof Problem ? error : new Problem(500, "internal", "It failed here");
    const { status, code, message } = problem;
    return { status, body: { title: message, status, code } };
  }
}

function find(table, { method, url }) {
  const { pathname, searchParams } = understood(() => new URL(url, "http://localhost"));
  const found = table.filter(({ pattern }) => pattern.test(pathname));
  const route = found.find((route) => route.method === method);
  if (found.length === 0) throw new Problem(404, "not-found", "There is no such thing");
  if (!route) throw new Problem(405, "method-not-allowed", "That cannot be done here");
  const decoded = ([name, value]) => [name, understood(() => decodeURIComponent(value))];
  const params = Object.fromEntries(Object.entries(route.pattern.exec(pathname).groups ?? {}).map(decoded));
  return { route, params, query: Object.fromEntries(searchParams) };
}

async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST_BODY) throw new Problem(413, "too-large", "The body is too large");
    chunks.push(chunk);
  }
  const body = understood(() => JSON.parse(Buffer.concat(chunks).toString() || "{}"));
  if (typeof body !== "object" || body === null) throw new Problem(400, "invalid-request", "The body is no object");
  return body;
}

/** What reading answers, or a refusal: what cannot be read is the caller's mistake. */
function understood(read) {
  try {
    return read();
  } catch {
    throw new Problem(400, "invalid-request", "The request cannot be read");
  }
}
