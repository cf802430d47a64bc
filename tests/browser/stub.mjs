// A platform API that serves made-up data in the platform's shapes, with the console's built files: for
// what a real platform cannot be brought to in a test (200 services, 5,000 sagas, a service with a
// hostile name, a token, a stream that breaks off), and for work on the console.
//
// As a program: node stub.mjs DIST [PORT] [SERVICES] [SAGAS]

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { HOSTILE } from "./world-names.mjs";
import { makeWorld } from "./world.mjs";

/** The policy under which the platform serves the console. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const FILES = {
  "/ui": ["index.html", "text/html; charset=utf-8"],
  "/ui/app.js": ["app.js", "text/javascript; charset=utf-8"],
  "/ui/app.css": ["app.css", "text/css; charset=utf-8"],
  "/ui/favicon.svg": ["favicon.svg", "image/svg+xml"],
};

/**
 * Starts the stub. `options`: `dist` (the console's files), `port`, `token` (asked for if given), and
 * those of `makeWorld`. Answers `{ url, world, calls, streams, close }`; `calls` are the commands that came.
 */
export async function startStub(options) {
  const world = makeWorld(options);
  const calls = [];
  const streams = new Set();
  const server = createServer((request, response) => {
    answer({ request, response, world, calls, streams, options }).catch((error) => {
      response.writeHead(500, { "content-type": "text/plain" }).end(String(error?.stack ?? error));
    });
  });
  const timer = setInterval(() => {
    world.tick();
    for (const stream of streams) send(stream, "overview", world.overview());
  }, 1_000);
  await new Promise((done) => server.listen(options.port ?? 0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}/ui`,
    world,
    calls,
    /** Tells every listener that a part changed. */
    changed(what) {
      for (const stream of streams) send(stream, "changed", { what, count: 1 });
    },
    /** Breaks the live streams off. */
    drop() {
      for (const stream of streams) stream.destroy();
    },
    async close() {
      clearInterval(timer);
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

async function answer(call) {
  const { request, response, options } = call;
  const url = new URL(request.url, "http://stub");
  const file = FILES[url.pathname];
  if (file) return serveFile(response, options.dist, file);
  if (options.token && request.headers.authorization !== `Bearer ${options.token}`) {
    return refuse(response, 401, "IEUM-5004", "Unauthorized", "a token is needed");
  }
  if (url.pathname === "/api/v1/live") return openStream(call);
  if (url.pathname.startsWith("/api/v1/errors/")) {
    response.writeHead(200, { "content-type": "text/markdown" });
    return response.end("# The error\n\n**What happened.** Something.\n\n**What to do.** Ask `again`.\n");
  }
  if (request.method === "POST") return command(call, url);
  const path = url.pathname.slice("/api/v1/".length).split("/").map(decodeURIComponent);
  const found = call.world.get(path, url.searchParams);
  if (found === undefined)
    return refuse(response, 404, "IEUM-4001", "Not found", `no such thing: ${url.pathname}`);
  json(response, 200, found);
}

async function command({ request, response, world, calls }, url) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  calls.push({ path: url.pathname, body: text === "" ? undefined : JSON.parse(text) });
  // Slow enough for a second click to come before the answer.
  await new Promise((done) => setTimeout(done, 150));
  const done = world.command(url.pathname.slice("/api/v1/".length).split("/").map(decodeURIComponent));
  if (done === undefined) return refuse(response, 409, "IEUM-4009", "Conflict", "it is behind its pivot");
  if (done === null) return response.writeHead(204).end();
  json(response, 200, done);
}

function openStream({ response, world, streams }) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write("retry: 200\n\n");
  streams.add(response);
  response.on("close", () => streams.delete(response));
  send(response, "overview", world.overview());
}

function send(stream, name, data) {
  stream.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

async function serveFile(response, dist, [name, type]) {
  const content = await readFile(join(dist, `${name}.gz`));
  response.writeHead(200, {
    "content-type": type,
    "content-encoding": "gzip",
    "content-length": content.length,
    "content-security-policy": POLICY,
  });
  response.end(content);
}

function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function refuse(response, status, code, title, detail) {
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ type: "about:blank", title, status, detail, code }));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [dist, port = "8500", services = "9", sagas = "40"] = process.argv.slice(2);
  const stub = await startStub({
    dist,
    port: Number(port),
    services: Number(services),
    sagas: Number(sagas),
  });
  console.log(`${stub.url} (one service is called ${HOSTILE})`);
}
