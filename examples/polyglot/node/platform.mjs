// The platform as this service sees it: a registry to be found in, and a place for spans.

import { randomBytes } from "node:crypto";
import Consul from "consul";

/** The time between two looks whether the registry still knows us, or two attempts to register. */
const LOOK_MS = 2_000;
const REQUEST_MS = 2_000;
/** What the platform asks for, if it does: never an argument, which everybody could read. */
const TOKEN = process.env.IEUM_TOKEN;

/** Keeps one instance registered, with npm's `consul` client. */
export class Registration {
  #consul;
  #service;
  #timer;
  #stopped = false;

  constructor(platform, { name, owner, host, port }) {
    const defaults = { timeout: REQUEST_MS, ...(TOKEN && { token: TOKEN }) };
    this.#consul = new Consul({ baseUrl: new URL("/v1", platform).href, defaults });
    // Made of name and address: an instance that died and came back replaces itself.
    this.#service = {
      id: `${name}-${host}-${port}`,
      name,
      address: host,
      port,
      meta: { owner, language: "node" },
      check: {
        name: `health of ${name}`,
        http: `http://${host}:${port}/health`,
        interval: "2s",
        timeout: "1s",
        status: "passing",
        deregistercriticalserviceafter: "10m",
      },
    };
  }

  /** Registers, again and again until it works, and stays registered: a registry may forget. */
  async keep() {
    try {
      const known = await this.#consul.agent.service.list();
      if (!this.#stopped && !known[this.#service.id]) {
        await this.#consul.agent.service.register(this.#service);
        console.error(`registered as ${this.#service.id}`);
      }
    } catch (error) {
      console.error(`not registered yet: ${error.message}`);
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.keep(), LOOK_MS);
  }

  /** Leaves the registry; if it does not answer, our check will fail there. */
  async leave() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    try {
      await this.#consul.agent.service.deregister(this.#service.id);
    } catch (error) {
      console.error(`not deregistered: ${error.message}`);
    }
  }
}

const MOST_WAITING = 2_048;
const BATCH = 512;
const PAUSE_MS = 100;
const KIND = { internal: 1, server: 2 };

/** Sends spans in batches, off the way of requests. What does not fit is dropped and counted. */
export class Tracer {
  #url;
  #service;
  #waiting = [];
  #sending = null;
  dropped = 0;

  constructor(platform, service) {
    this.#url = new URL("/v1/traces", platform);
    this.#service = service;
  }

  /** Begins a span below `parent`, or a new trace. */
  span(name, kind, parent) {
    const span = {
      traceId: parent?.traceId ?? randomBytes(16).toString("hex"),
      spanId: randomBytes(8).toString("hex"),
      parentSpanId: parent?.spanId ?? "",
      sampled: parent?.sampled ?? true,
      name,
      kind: KIND[kind],
      start: now(),
      attributes: {},
      error: undefined,
    };
    return Object.assign(span, { end: () => this.#end(span) });
  }

  #end(span) {
    if (!span.sampled) return;
    if (this.#waiting.length >= MOST_WAITING) {
      this.dropped += 1;
      return;
    }
    this.#waiting.push({ ...encoded(span), endTimeUnixNano: String(now()) });
    this.#sending ??= pause(PAUSE_MS).then(() => this.#send());
  }

  async #send() {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, BATCH);
      if (await this.#post(batch)) this.#waiting.splice(0, batch.length);
      else await pause(10 * PAUSE_MS);
    }
    this.#sending = null;
  }

  /** True if the batch is done with: taken, or refused for good. */
  async #post(spans) {
    const attributes = attributesOf({ "service.name": this.#service });
    const scopeSpans = [{ scope: { name: "ieum-example" }, spans }];
    const body = JSON.stringify({ resourceSpans: [{ resource: { attributes }, scopeSpans }] });
    const headers = { "content-type": "application/json", ...(TOKEN && { authorization: `Bearer ${TOKEN}` }) };
    const signal = AbortSignal.timeout(REQUEST_MS);
    try {
      const answer = await fetch(this.#url, { method: "POST", headers, body, signal });
      await answer.arrayBuffer();
      const later = answer.status === 429 || answer.status >= 500;
      if (!answer.ok && !later) this.dropped += spans.length;
      return !later;
    } catch {
      return false;
    }
  }

  /** Waits until everything is sent, at most `limit` milliseconds; answers how many spans are lost. */
  async flush(limit) {
    await Promise.race([this.#sending, pause(limit)]);
    return this.dropped + this.#waiting.length;
  }
}

/** Reads `traceparent` by the book: one well-formed header counts, anything else begins a new trace. */
export function traceParent(header) {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header ?? "");
  if (!match) return undefined;
  const [, version, traceId, spanId, flags, rest] = match;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (parseInt(flags, 16) & 1) === 1 };
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1_000)) * 1_000n;

function encoded({ traceId, spanId, parentSpanId, name, kind, start, attributes, error }) {
  const status = error === undefined ? {} : { code: 2, message: error };
  const startTimeUnixNano = String(start);
  return {
    traceId, spanId, parentSpanId, name, kind, startTimeUnixNano, attributes: attributesOf(attributes), status,
  };
}

function attributesOf(values) {
  const value = (of) => (typeof of === "number" ? { intValue: String(of) } : { stringValue: String(of) });
  return Object.entries(values).map(([key, of]) => ({ key, value: value(of) }));
}
