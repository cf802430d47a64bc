// Made-up data in the shapes of the platform API. The same options make the same world.

import { HOSTILE, iso, traceId, uuid } from "./world-names.mjs";
import { makeBreakers, makeLetters, makeSaga, makeTrace, wholeSaga } from "./world-things.mjs";

const SHOP = [
  "gateway",
  "users",
  "products",
  "orders",
  "inventory",
  "payments",
  "shipping",
  "notifications",
  "analytics",
];
const OWNERS = [
  "identity",
  "catalogue",
  "sales",
  "warehouse",
  "billing",
  "logistics",
  "customer-care",
  "insight",
];

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
    overview: () => overview(world, edges, begin),
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
    ["gateway", "users"],
    ["gateway", "products"],
    ["gateway", "orders"],
    ["gateway", "payments"],
    ["orders", "users"],
    ["orders", "products"],
    ["sagas", "orders"],
    ["sagas", "inventory"],
    ["sagas", "payments"],
    ["sagas", "shipping"],
    ["sagas", "notifications"],
    ["orders", "analytics"],
    ["orders", "inventory"],
    ["gateway", HOSTILE],
    ["orders", "sagas"],
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

function overview({ sagas, letters, breakers, names }, edges, begin) {
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
    platform: {
      name: "127.0.0.1:8500",
      version: "0.6.0",
      startedAt: new Date(begin - 7_300_000).toISOString(),
    },
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

function get(world, [first, ...rest], query) {
  const limit = Number(query.get("limit") ?? 1_000);
  switch (first) {
    case "overview":
      return world.overview();
    case "services":
      return { services: world.names.filter((name) => name !== "gateway").map(serviceView) };
    case "routes":
      return {
        routes: world.names.slice(1).map((name) => ({
          name: `to ${name}`,
          path: `/api/v1/${encodeURIComponent(name)}`,
          methods: ["GET"],
          upstreams: [name],
          auth: "jwt",
          roles: [],
        })),
      };
    case "breakers":
      return { breakers: world.breakers };
    case "sagas":
      return sagas(world, rest, query, limit);
    case "topics":
      return {
        topics: ["order.events", "payment.events", "shipping.events"].map((topic, index) => ({
          topic,
          messages: 73 * (index + 1),
          head: 453 + index,
        })),
      };
    case "groups":
      return {
        groups: ["analytics", "inventory", "notifications"].map((group, index) => ({
          topic: "order.events",
          group,
          member: `${group}-1`,
          epoch: 1,
          checkpoint: 453,
          lag: index === 1 ? 12 : 0,
          deadLetters: index === 2 ? world.letters.length : 0,
        })),
      };
    case "dead-letters":
      return { deadLetters: world.letters };
    case "log":
      return rest.length === 1
        ? {
            streams: world.sagas.slice(0, 200).map(({ key }, index) => ({
              stream: `order.events-${key.slice(8)}`,
              version: 3,
              position: 900 - index,
              lastAt: iso(Date.now() - index * 1_000),
            })),
            whole: false,
          }
        : {
            events: [1, 2].map((version) => ({
              position: 380 + version,
              stream: rest[1],
              version,
              id: uuid(version),
              type: version === 1 ? "order.created" : "order.placed",
              data: { total: 129_000 },
              metadata: {},
              tags: [],
              recordedAt: iso(Date.now() - 9_000),
            })),
          };
    case "traces":
      return rest.length === 1
        ? makeTrace(rest[0])
        : {
            traces: world.sagas.slice(0, limit).map(({ id, status, startedAt }, index) => ({
              traceId: traceId(id),
              name: "POST /api/v1/orders",
              service: "gateway",
              start: startedAt,
              durationMs: 90 + ((index * 37) % 300),
              spans: 43,
              failed: status === "compensated",
            })),
          };
    case "platforms":
      return {
        shared: false,
        platforms: [
          { name: "127.0.0.1:8500", own: true, alive: true, checks: true, partitions: [], mirrors: [] },
        ],
        unowned: 0,
      };
    case "impact":
      return {
        subject: { kind: "event-type", name: rest[0] },
        publishers: ["orders"],
        consumers: [{ service: "inventory", group: "inventory", topic: "order.events" }],
        routes: [{ name: "place-order", path: "/api/v1/orders", service: "orders" }],
        contracts: [],
        sagas: [{ definition: "place-order", step: "validate", call: "POST orders" }],
        services: [HOSTILE],
      };
    default:
      return undefined;
  }
}

function sagas(world, [id], query, limit) {
  if (id === "definitions")
    return { definitions: [{ name: "place-order", hash: "c9", versions: 1, definition: {} }] };
  if (id === undefined) {
    const wanted = query.get("state");
    return { sagas: world.sagas.filter(({ status }) => !wanted || status === wanted).slice(0, limit) };
  }
  const summary = world.sagas.find((saga) => saga.id === id);
  return summary && wholeSaga(summary);
}

function serviceView(name, index) {
  const { passing, warning, critical } = instancesOf(name, index + 1);
  const statuses = [
    ...Array(passing).fill("passing"),
    ...Array(warning).fill("warning"),
    ...Array(critical).fill("critical"),
  ];
  const instances = statuses.map((status, n) => ({
    id: `${name}-${n}`,
    authority: `127.0.0.1:${4000 + index}`,
    status,
    output: "HTTP GET /health: 200 OK",
    meta: { owner: "sales" },
  }));
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
