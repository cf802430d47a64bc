// The things of a made-up world: a saga, a trace, dead letters, breakers.

import { HOSTILE, iso, micro, traceId, uuid } from "./world-names.mjs";

const STEPS = [
  "validate",
  "reserve-inventory",
  "charge-payment",
  "create-shipment",
  "confirm",
  "complete",
  "notify",
];
const CALLED = ["orders", "inventory", "payments", "shipping", "orders", "orders", "notifications"];

/** One line about the saga of this number; the first are compensated, parked and running. */
export function makeSaga(index, begin, random) {
  const roll = random();
  const status =
    index === 0
      ? "compensated"
      : index === 1
        ? "parked"
        : index === 2
          ? "running"
          : roll < 0.14
            ? "compensated"
            : roll < 0.17
              ? "running"
              : "completed";
  const started = begin - index * 2_700 - 4_000;
  const shared = {
    id: uuid(index),
    definition: "place-order",
    hash: "c9e4bf4dc04258d79a568eed2a45c25f",
    key: `/orders ${uuid(90_000 + index)}`,
    status,
  };
  const times = { startedAt: iso(started), updatedAt: iso(started + 140) };
  if (status === "compensated") return { ...shared, failure: "card-declined", ...times };
  if (status === "parked")
    return {
      ...shared,
      step: "notify",
      parked: "the last attempt of 8 failed: 503 from notifications",
      ...times,
    };
  if (status === "running") return { ...shared, step: "create-shipment", ...times };
  return { ...shared, ...times };
}

/** The whole of a saga: forward to the step that failed, then back. */
export function wholeSaga(summary) {
  const history = [];
  const steps = STEPS.map((name, index) => ({
    name,
    pivot: name === "confirm",
    service: CALLED[index],
    uncertain: false,
    progress: "idle",
    attempts: 0,
    ...(index < 4 ? { undo: { progress: "idle", attempts: 0 } } : {}),
  }));
  let at = Date.parse(summary.startedAt);
  const tell = (type, more = {}) => history.push({ at: iso(at), type, ...more });
  tell("saga.started", { definition: summary.definition, key: summary.key });
  const stop = { compensated: 2, parked: 6, running: 3 }[summary.status] ?? STEPS.length;
  for (const [index, step] of steps.entries()) {
    if (index > stop) break;
    step.firstAt = iso(at + 1);
    step.attempts = 1;
    tell("saga.step-intended", { step: step.name, round: 1, attempt: 1 });
    at += 9 + index * 7;
    step.lastAt = iso(at);
    if (index < stop) {
      Object.assign(step, { progress: "done", answer: { status: "ok" } });
      tell("saga.step-succeeded", { step: step.name, round: 1, attempt: 1, status: 200 });
    } else if (summary.status === "compensated") {
      Object.assign(step, { progress: "rejected", error: "card-declined" });
      tell("saga.step-rejected", {
        step: step.name,
        round: 1,
        attempt: 1,
        status: 402,
        code: "card-declined",
        detail: "the bank declined the card",
      });
    } else {
      step.progress = summary.status === "parked" ? "failed" : "in-flight";
    }
  }
  if (summary.status === "compensated") {
    tell("saga.compensating", { failure: failureOf() });
    for (const step of steps.slice(0, 2).toReversed()) {
      tell("saga.undo-intended", { step: step.name, round: 1, attempt: 1 });
      step.undo = { progress: "done", attempts: 1, firstAt: iso(at) };
      at += 14;
      step.undo.lastAt = iso(at);
      tell("saga.undo-succeeded", { step: step.name, round: 1, attempt: 1, status: 200 });
    }
    tell("saga.compensated");
  }
  if (summary.status === "parked") tell("saga.parked", { step: "notify", why: summary.parked });
  return {
    ...summary,
    updatedAt: iso(at),
    input: {
      orderId: summary.key.slice(8),
      totalAmount: 129_000,
      currency: "KRW",
      userName: "고객 2",
      address: { city: "서울" },
    },
    ...(summary.status === "compensated" ? { failed: failureOf() } : {}),
    traceparent: `00-${traceId(summary.id)}-fdb6626286975148-03`,
    trigger: { stream: `order.events-${summary.key.slice(8)}`, position: 388, id: uuid(5) },
    steps,
    history,
  };
}

function failureOf() {
  return { step: "charge-payment", code: "card-declined", detail: "the bank declined the card" };
}

/** The trace of an order whose card was declined. */
export function makeTrace(id) {
  const begin = Date.now() - 60_000;
  let count = 0;
  const spans = [];
  const logs = [];
  const add = (parent, service, name, kind, start, length, error = null, attributes = []) => {
    count += 1;
    const spanId = count.toString(16).padStart(16, "0");
    spans.push({
      traceId: id,
      spanId,
      parent,
      service,
      name,
      kind,
      start: micro(begin + start),
      end: micro(begin + start + length),
      attributes,
      error,
    });
    return spanId;
  };
  const root = add(null, "gateway", "POST /api/v1/orders", "server", 0, 33.4, null, [
    ["http.request.method", "POST"],
    ["http.route", "/api/v1/orders"],
    ["http.response.status_code", 201],
  ]);
  const toOrders = add(root, "gateway", "POST orders", "client", 0.2, 33.1);
  const orders = add(toOrders, "orders", "POST /orders", "server", 2.1, 29);
  const users = add(orders, "orders", "GET users", "client", 4, 4.1);
  add(users, "users", "GET /users/{id}", "server", 4.4, 2.8);
  const products = add(orders, "orders", "GET products", "client", 8.5, 6);
  add(products, "products", "GET /products/{id}", "server", 9, 1.4);
  const saga = add(orders, "sagas", "saga place-order", "internal", 35, 122, null, [
    ["ieum.saga.id", uuid(0)],
  ]);
  STEPS.slice(0, 3).forEach((name, index) => {
    const step = add(saga, "sagas", `step ${name}`, "internal", 38 + index * 27, 24);
    const call = add(
      step,
      "sagas",
      `POST ${CALLED[index]}`,
      "client",
      40 + index * 27,
      20,
      index === 2 ? "402 card-declined" : null,
    );
    const server = add(
      call,
      CALLED[index],
      `POST /${CALLED[index]}`,
      "server",
      43 + index * 27,
      14,
      index === 2 ? "card-declined" : null,
    );
    logs.push({
      at: micro(begin + 50 + index * 27),
      level: index === 2 ? "warn" : "info",
      service: CALLED[index],
      message: index === 2 ? "the bank declined the card" : `${name} is done`,
      spanId: server,
      attributes: { "order.id": uuid(90_000) },
    });
  });
  ["reserve-inventory", "validate"].forEach((name, index) => {
    const undo = add(saga, "sagas", `undo ${name}`, "internal", 121 + index * 17, 14);
    const call = add(undo, "sagas", `POST ${CALLED[1 - index]}`, "client", 122 + index * 17, 12);
    add(call, CALLED[1 - index], `POST /${name}/undo`, "server", 124 + index * 17, 8);
  });
  add(orders, "inventory", "process order.created", "consumer", 51, 2.4);
  add(orders, "analytics", "process order.created", "consumer", 61, 5.2);
  add(orders, "notifications", "process order.cancelled", "consumer", 158, 9.4);
  return { traceId: id, spans, logs };
}

/** Dead letters of two keys. */
export function makeLetters(begin) {
  return ["a", "b"].map((key, index) => ({
    topic: "order.events",
    group: "notifications",
    position: 453 + index,
    key: uuid(700 + index),
    reason:
      index === 0
        ? { gaveUp: "the mail server refused the address after 8 attempts" }
        : { gaveUp: `a template for ${HOSTILE} is missing` },
    recordedAt: iso(begin - 90_000),
    message: {
      specversion: "1.0",
      id: uuid(40 + index),
      source: "/orders",
      type: "order.completed",
      partitionkey: key,
      traceparent: `00-${traceId(uuid(0))}-fdb6626286975148-03`,
      data: { orderId: uuid(700 + index), total: 129_000 },
    },
  }));
}

/** A breaker for each of the first services; the hostile one's is open. */
export function makeBreakers(names, begin) {
  return names
    .filter((name) => name !== "gateway")
    .slice(0, 40)
    .map((service, index) => ({
      service,
      target: `127.0.0.1:${3001 + index}`,
      owner: index % 3 === 2 ? "orders" : "gateway",
      instance: `${service}-1`,
      state: service === HOSTILE ? "open" : "closed",
      since: iso(begin - 45_000),
      calls: 120,
      failures: service === HOSTILE ? 61 : 0,
      failureRate: service === HOSTILE ? 0.51 : 0,
      changes:
        service === HOSTILE
          ? [
              { at: iso(begin - 45_000), from: "half-open", to: "open", reason: "the probe failed" },
              { at: iso(begin - 75_000), from: "open", to: "half-open", reason: "the wait is over" },
              { at: iso(begin - 105_000), from: "closed", to: "open", reason: "51 % of 120 calls failed" },
            ]
          : [],
    }));
}
