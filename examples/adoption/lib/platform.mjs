// ieum as these services use it, by plain HTTP: to be found, to find others, to tell and to be told.

import { createHash } from "node:crypto";
import { DATA, NAME, PLATFORM, Problem } from "./service.mjs";

const REQUEST_MS = 5_000;
const PAUSE_MS = 200;
const LOOK_MS = 2_000;
/** How long one call of `pull` waits for an event, and how many it takes. */
const WAIT = "5s";
const MOST = 50;
/** How often an event is tried before it becomes a dead letter. */
const TRIES = 5;

/** Named after its database: started again, this is the same member of its group, and takes over at once. */
const MEMBER = `${NAME}-${createHash("sha256").update(DATA).digest("hex").slice(0, 16)}`;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function ask(url, { method = "GET", body, headers = {}, limit = REQUEST_MS } = {}) {
  const json =
    body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } };
  return fetch(url, { method, headers, signal: AbortSignal.timeout(limit), ...json });
}

/** Registers an instance with a check on its health, in the words of Consul's API. */
export async function register(platform, name, port) {
  const check = { HTTP: `http://127.0.0.1:${port}/health`, Interval: "1s", Timeout: "1s", Status: "passing" };
  const body = { Name: name, ID: `${name}-${port}`, Address: "127.0.0.1", Port: port, Check: check };
  const answer = await ask(`${platform}/v1/agent/service/register`, { method: "PUT", body });
  if (!answer.ok) throw new Error(`not registered: ${answer.status} ${await answer.text()}`);
}

/** Keeps this service registered: a registry may be away, or forget. Answers what leaves it. */
export function stayRegistered(port) {
  let left = false;
  const look = async () => {
    try {
      const known = await (await ask(`${PLATFORM}/v1/agent/services`)).json();
      if (!known[`${NAME}-${port}`] && !left) await register(PLATFORM, NAME, port);
    } catch (error) {
      console.error(`the registry: ${error.message}`);
    }
    if (!left) setTimeout(look, LOOK_MS).unref();
  };
  const registered = look();
  const leave = async () => {
    left = true;
    await ask(`${PLATFORM}/v1/agent/service/deregister/${NAME}-${port}`, { method: "PUT" }).catch(() => {});
  };
  return { registered, leave };
}

/** Calls another service by its name. Its refusals are ours; the caller's trace goes on. */
export async function call(service, path, { headers, ...options } = {}) {
  const trace = headers?.traceparent ? { traceparent: headers.traceparent } : {};
  let answer;
  try {
    const instances = await (await ask(`${PLATFORM}/v1/health/service/${service}?passing`)).json();
    if (instances.length === 0) throw new Error("no instance is passing");
    const { Address, Port } = instances[Math.floor(Math.random() * instances.length)].Service;
    answer = await ask(`http://${Address}:${Port}${path}`, { ...options, headers: trace });
  } catch (error) {
    throw new Problem(503, "unavailable", `${service} does not answer: ${error.message}`);
  }
  const body = await answer.json();
  if (!answer.ok) throw new Problem(body.status, body.code, body.title);
  return body;
}

/** A row of the outbox: it is committed with what it tells of, and cannot be lost or told of in vain. */
export const outbox = (id, topic, type, key, data) => [
  "outbox",
  { id, topic, type, key, data, time: new Date().toISOString() },
];

/** Publishes what is in the outbox, in order, again and again until it is taken. Its id makes that harmless. */
export async function relay(db) {
  for (;;) {
    const row = db.all("outbox").find(({ sent }) => !sent);
    if (!row || !(await publish(row))) await pause(PAUSE_MS);
    else db.commit(["outbox", { id: row.id, sent: true }]);
  }
}

async function publish({ id, topic, type, key, data, time }) {
  const event = { specversion: "1.0", id, source: `/${NAME}`, type, time, subject: key, partitionkey: key, data };
  const headers = { "content-type": "application/cloudevents+json" };
  try {
    return (await ask(`${PLATFORM}/api/v1/topics/${topic}`, { method: "POST", body: event, headers })).ok;
  } catch {
    return false;
  }
}

/**
 * Works for the consumer group of this service's name. `rowsOf(event)` answers what the event changes;
 * that and the inbox's row are one commit, so an event that comes twice has its effect once.
 */
export async function consume(db, topic, rowsOf) {
  const group = `${PLATFORM}/api/v1/topics/${topic}/groups/${NAME}`;
  for (;;) {
    try {
      const { epoch } = await post(`${group}/join`, { member: MEMBER });
      for (;;) await work(db, group, epoch, rowsOf);
    } catch (error) {
      // Somebody else works for the group, or the platform is away.
      console.error(`${topic}: ${error.message}`);
      await pause(LOOK_MS);
    }
  }
}

async function work(db, group, epoch, rowsOf) {
  const { deliveries } = await post(`${group}/pull`, { epoch, max: MOST, wait: WAIT }, 2 * REQUEST_MS);
  for (const { position, message } of deliveries) {
    const id = `${message.source} ${message.id}`;
    const reason = db.get("inbox", id) ? undefined : await take(db, id, message, rowsOf);
    if (reason) await post(`${group}/dead-letters`, { epoch, position, reason });
    else await post(`${group}/ack`, { epoch, upTo: position });
  }
}

/** Takes an event in; answers why it could not, if it never could. */
async function take(db, id, event, rowsOf) {
  for (let tried = 1; ; tried += 1) {
    try {
      db.commit(...(await rowsOf(event)), ["inbox", { id }]);
      return undefined;
    } catch (error) {
      if (tried === TRIES) return error.message;
      await pause(PAUSE_MS * tried);
    }
  }
}

async function post(url, body, limit) {
  const answer = await ask(url, { method: "POST", body, limit });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
}
