// Made-up data in the shapes of the platform API. The same options make the same world.

/** What somebody may call a service to attack who looks at it. */
export const HOSTILE = "<img src=x onerror=window.attacked=1>";

const SHOP = ["gateway", "users", "products", "orders", "inventory", "payments", "shipping", "notifications", "analytics"];
const OWNERS = ["identity", "catalogue", "sales", "warehouse", "billing", "logistics", "customer-care", "insight"];
const STEPS = ["validate", "reserve-inventory", "charge-payment", "create-shipment", "confirm", "complete", "notify"];
const CALLED = ["orders", "inventory", "payments", "shipping", "orders", "orders", "notifications"];

/** A world with `services` services (one with a hostile name) and `sagas` sagas. */
export function makeWorld({ services = 9, sagas = 40, seed = 7 }) {
  const random = generator(seed);
  const names = serviceNames(services);
  const edges = makeEdges(names, random);
  const begin = Date.now();
  const list = Array.from({ length: sagas }, (_, index) => makeSaga(index, begin, random));
  const letters = makeLetters(begin);
  const world = {
    names,
    sagas: list,
    letters,
    breakers: makeBreakers(names, begin),
    tick() {
      for (const edge of edges) edge.rate = Math.max(0, edge.rate * (0.9 + random() * 0.2));
    },
    overview: () => overview(world, names, edges, begin),
    get: (path, query) => get(world, path, query),
    command: (path) => command(world, path),
  };
  return world;
}

function serviceNames(count) {
  const names = [...SHOP.slice(0, Math.max(1, count - 1)), HOSTILE];
  for (let n = 1; names.length < count; n += 1) names.push(`service-${String(n).padStart(3, "0")}`);
  return names;
}

function makeEdges(names, random) {
  const edges = [
    ["gateway", "users"], ["gateway", "products"], ["gateway", "orders"], ["gateway", "payments"],
    ["orders", "users"], ["orders", "products"], ["sagas", "orders"], ["sagas", "inventory"],
    ["sagas", "payments"], ["sagas", "shipping"], ["sagas", "notifications"], ["orders", "analytics"],
    ["orders", "inventory"], ["gateway", HOSTILE], ["orders", "sagas"],
  ].filter(([from, to]) => [from, to].every((name) => name === "sagas" || names.includes(name)));
  const others = names.filter((name) => !SHOP.includes(name) && name !== HOSTILE);
  others.forEach((name, index) => {
    const from = index < 20 ? "gateway" : others[Math.floor(random() * Math.min(index, 60))];
    edges.push([from, name]);
  });
  return edges.map(([from, to]) => ({
    from,
    to,
    rate: 0.5 + random() * 40,
    errorRate: to === "payments" ? 0.021 : to === HOSTILE ? 0.31 : 0,
    p50Ms: 1 + random() * 8,
    p99Ms: 12 + random() * 70,
  }));
}

function overview({ sagas, letters, breakers, names }, _all, edges, begin) {
  const counts = { running: 0, compensating: 0, parked: 0, completed: 0, compensated: 0 };
  for (const { status } of sagas) counts[status] += 1;
  const states = { closed: 0, open: 0, halfOpen: 0 };
  for (const { state } of breakers) states[state === "half-open" ? "halfOpen" : state] += 1;
  const loads = [...names, "sagas"].map((name, index) => {
    const into = edges.filter(({ to, from }) => to === name || (name === "gateway" && from === name));
    const rate = into.reduce((sum, edge) => sum + edge.rate, 0);
    const failed = into.reduce((sum, edge) => sum + edge.rate * edge.errorRate, 0);
    return {
      name,
      owner: name === "gateway" || name === "sagas" ? null : OWNERS[index % OWNERS.length],
      instances: instancesOf(name, index),
      rate,
      errorRate: rate > 0 ? failed / rate : 0,
      p50Ms: into[0]?.p50Ms ?? 0,
      p99Ms: Math.max(0, ...into.map(({ p99Ms }) => p99Ms)),
    };
  });
  return {
    at: new Date().toISOString(),
    platform: { name: "127.0.0.1:8500", version: "0.6.0", startedAt: new Date(begin - 7_300_000).toISOString() },
    windowSeconds: 60,
    services: loads.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    edges,
    sagas: counts,
    deadLetters: letters.length,
    lag: 12,
    breakers: states,
  };
}

function instancesOf(name, index) {
  if (name === "gateway" || name === "sagas") return { passing: 0, warning: 0, critical: 0 };
  return { passing: 1 + (index % 3), warning: index % 17 === 5 ? 1 : 0, critical: name === HOSTILE ? 1 : 0 };
}

function makeSaga(index, begin, random) {
  const roll = random();
  const status =
    index === 0 ? "compensated" : index === 1 ? "parked" : index === 2 ? "running" : roll < 0.14 ? "compensated" : roll < 0.17 ? "running" : "completed";
  const started = begin - index * 2_700 - 4_000;
  const shared = { id: uuid(index), definition: "place-order", hash: "c9e4bf4dc04258d79a568eed2a45c25f", key: `/orders ${uuid(90_000 + index)}`, status };
  const times = { startedAt: iso(started), updatedAt: iso(started + 140) };
  if (status === "compensated") return { ...shared, failure: "card-declined", ...times };
  if (status === "parked") return { ...shared, step: "notify", parked: "the last attempt of 8 failed: 503 from notifications", ...times };
  if (status === "running") return { ...shared, step: "create-shipment", ...times };
  return { ...shared, ...times };
}

/** The whole of a saga: forward to the step that failed, then back. */
function wholeSaga(summary) {
  const history = [];
  const steps = STEPS.map((name, index) => ({ name, pivot: name === "confirm", service: CALLED[index], uncertain: false, progress: "idle", attempts: 0, ...(index < 4 ? { undo: { progress: "idle", attempts: 0 } } : {}) }));
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
      tell("saga.step-rejected", { step: step.name, round: 1, attempt: 1, status: 402, code: "card-declined", detail: "the bank declined the card" });
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
    input: { orderId: summary.key.slice(8), totalAmount: 129_000, currency: "KRW", userName: "고객 2", address: { city: "서울" } },
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

function makeTrace(id) {
  const begin = Date.now() - 60_000;
  let count = 0;
  const spans = [];
  const logs = [];
  const add = (parent, service, name, kind, start, length, error = null, attributes = []) => {
    count += 1;
    const spanId = count.toString(16).padStart(16, "0");
    spans.push({ traceId: id, spanId, parent, service, name, kind, start: micro(begin + start), end: micro(begin + start + length), attributes, error });
    return spanId;
  };
  const root = add(null, "gateway", "POST /api/v1/orders", "server", 0, 33.4, null, [["http.request.method", "POST"], ["http.route", "/api/v1/orders"], ["http.response.status_code", 201]]);
  const toOrders = add(root, "gateway", "POST orders", "client", 0.2, 33.1);
  const orders = add(toOrders, "orders", "POST /orders", "server", 2.1, 29);
  const users = add(orders, "orders", "GET users", "client", 4, 4.1);
  add(users, "users", "GET /users/{id}", "server", 4.4, 2.8);
  const products = add(orders, "orders", "GET products", "client", 8.5, 6);
  add(products, "products", "GET /products/{id}", "server", 9, 1.4);
  const saga = add(orders, "sagas", "saga place-order", "internal", 35, 122, null, [["ieum.saga.id", uuid(0)]]);
  STEPS.slice(0, 3).forEach((name, index) => {
    const step = add(saga, "sagas", `step ${name}`, "internal", 38 + index * 27, 24);
    const call = add(step, "sagas", `POST ${CALLED[index]}`, "client", 40 + index * 27, 20, index === 2 ? "402 card-declined" : null);
    const server = add(call, CALLED[index], `POST /${CALLED[index]}`, "server", 43 + index * 27, 14, index === 2 ? "card-declined" : null);
    logs.push({ at: micro(begin + 50 + index * 27), level: index === 2 ? "warn" : "info", service: CALLED[index], message: index === 2 ? "the bank declined the card" : `${name} is done`, spanId: server, attributes: { "order.id": uuid(90_000) } });
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

function makeLetters(begin) {
  return ["a", "b"].map((key, index) => ({
    topic: "order.events",
    group: "notifications",
    position: 453 + index,
    key: uuid(700 + index),
    reason: index === 0 ? { gaveUp: "the mail server refused the address after 8 attempts" } : { gaveUp: `a template for ${HOSTILE} is missing` },
    recordedAt: iso(begin - 90_000),
    message: { specversion: "1.0", id: uuid(40 + index), source: "/orders", type: "order.completed", partitionkey: key, traceparent: `00-${traceId(uuid(0))}-fdb6626286975148-03`, data: { orderId: uuid(700 + index), total: 129_000 } },
  }));
}

function makeBreakers(names, begin) {
  return names.filter((name) => name !== "gateway").slice(0, 40).map((service, index) => ({
    service,
    target: `127.0.0.1:${3001 + index}`,
    owner: index % 3 === 2 ? "orders" : "gateway",
    instance: `${service}-1`,
    state: service === HOSTILE ? "open" : "closed",
    since: iso(begin - 45_000),
    calls: 120,
    failures: service === HOSTILE ? 61 : 0,
    failureRate: service === HOSTILE ? 0.51 : 0,
    changes: service === HOSTILE ? [
      { at: iso(begin - 45_000), from: "half-open", to: "open", reason: "the probe failed" },
      { at: iso(begin - 75_000), from: "open", to: "half-open", reason: "the wait is over" },
      { at: iso(begin - 105_000), from: "closed", to: "open", reason: "51 % of 120 calls failed" },
    ] : [],
  }));
}

function get(world, [first, ...rest], query) {
  const limit = Number(query.get("limit") ?? 1_000);
  switch (first) {
    case "overview": return world.overview();
    case "services": return { services: world.names.filter((name) => name !== "gateway").map(serviceView) };
    case "routes": return { routes: world.names.slice(1).map((name) => ({ name: `to ${name}`, path: `/api/v1/${encodeURIComponent(name)}`, methods: ["GET"], upstreams: [name], auth: "jwt", roles: [] })) };
    case "breakers": return { breakers: world.breakers };
    case "sagas": return sagas(world, rest, query, limit);
    case "topics": return { topics: ["order.events", "payment.events", "shipping.events"].map((topic, index) => ({ topic, messages: 73 * (index + 1), head: 453 + index })) };
    case "groups": return { groups: ["analytics", "inventory", "notifications"].map((group, index) => ({ topic: "order.events", group, member: `${group}-1`, epoch: 1, checkpoint: 453, lag: index === 1 ? 12 : 0, deadLetters: index === 2 ? world.letters.length : 0 })) };
    case "dead-letters": return { deadLetters: world.letters };
    case "log": return rest.length === 1 ? { streams: world.sagas.slice(0, 200).map(({ key }, index) => ({ stream: `order.events-${key.slice(8)}`, version: 3, position: 900 - index, lastAt: iso(Date.now() - index * 1_000) })), whole: false } : { events: [1, 2].map((version) => ({ position: 380 + version, stream: rest[1], version, id: uuid(version), type: version === 1 ? "order.created" : "order.placed", data: { total: 129_000 }, metadata: {}, tags: [], recordedAt: iso(Date.now() - 9_000) })) };
    case "traces": return rest.length === 1 ? makeTrace(rest[0]) : { traces: world.sagas.slice(0, limit).map(({ id, status, startedAt }, index) => ({ traceId: traceId(id), name: "POST /api/v1/orders", service: "gateway", start: startedAt, durationMs: 90 + (index * 37) % 300, spans: 43, failed: status === "compensated" })) };
    case "platforms": return { shared: false, platforms: [{ name: "127.0.0.1:8500", own: true, alive: true, checks: true, partitions: [], mirrors: [] }], unowned: 0 };
    case "impact": return { subject: { kind: "event-type", name: rest[0] }, publishers: ["orders"], consumers: [{ service: "inventory", group: "inventory", topic: "order.events" }], routes: [{ name: "place-order", path: "/api/v1/orders", service: "orders" }], contracts: [], sagas: [{ definition: "place-order", step: "validate", call: "POST orders" }], services: [HOSTILE] };
    default: return undefined;
  }
}

function sagas(world, [id], query, limit) {
  if (id === "definitions") return { definitions: [{ name: "place-order", hash: "c9", versions: 1, definition: {} }] };
  if (id === undefined) {
    const wanted = query.get("state");
    return { sagas: world.sagas.filter(({ status }) => !wanted || status === wanted).slice(0, limit) };
  }
  const summary = world.sagas.find((saga) => saga.id === id);
  return summary && wholeSaga(summary);
}

function serviceView(name, index) {
  const { passing, warning, critical } = instancesOf(name, index + 1);
  const statuses = [...Array(passing).fill("passing"), ...Array(warning).fill("warning"), ...Array(critical).fill("critical")];
  const instances = statuses.map((status, n) => ({ id: `${name}-${n}`, authority: `127.0.0.1:${4000 + index}`, status, output: "HTTP GET /health: 200 OK", meta: { owner: "sales" } }));
  return { name, owner: OWNERS[(index + 1) % OWNERS.length], tags: [], instances };
}

/** `null`: done; `undefined`: refused. */
function command(world, [first, id, ...rest]) {
  if (first === "topics") {
    const before = world.letters.length;
    world.letters.shift();
    return { messages: before - world.letters.length };
  }
  const saga = world.sagas.find((one) => one.id === id);
  if (!saga || saga.status === "completed") return undefined;
  if (rest[0] === "resume") Object.assign(saga, { status: "running", parked: undefined });
  return null;
}

function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

const iso = (at) => new Date(at).toISOString();
const micro = (at) => new Date(at).toISOString().replace("Z", `${String(Math.round((at % 1) * 1_000)).padStart(3, "0")}Z`);
const uuid = (n) => `01a20063-4f70-7000-8000-${n.toString(16).padStart(12, "0")}`;
const traceId = (id) => id.replaceAll("-", "");
