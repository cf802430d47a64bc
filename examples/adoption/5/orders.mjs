// The orders service: it says that an order was placed, and the saga takes it from there
// (sagas/place-order.json). Whoever placed it waits for the end, as before.

import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { refuse, step, undo } from "../lib/barrier.mjs";
import { call, outbox, relay, stayRegistered } from "../lib/platform.mjs";
import { Problem, database, serve } from "../lib/service.mjs";

const db = database();
const settled = new EventEmitter().setMaxListeners(0);
/** How long a caller waits; the order goes on without. */
const WAIT_MS = 10_000;
/** What callers were answered before there was a saga. */
const STATUS = { "payment-declined": 402 };

async function placeOrder({ body, headers }) {
  const user = await call("monolith", `/api/users/${encodeURIComponent(body.userId)}`, { headers });
  const order = newOrder(body);
  const ended = once(settled, order.id, { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => {});
  const placed = { ...order, orderId: order.id, address: String(body.address ?? "") };
  db.commit(["orders", order], outbox(`${order.id}/placed`, "order.events", "order.placed", order.id, placed));
  await ended;
  return answerOf(user, order.id);
}

function answerOf(user, id) {
  const order = getOrder(id);
  const { payment, reason } = db.get("endings", id) ?? {};
  if (order.status === "cancelled")
    throw new Problem(STATUS[reason] ?? 409, reason, `The order was refused: ${reason}`);
  return order.status === "pending"
    ? { status: 202, body: { user, order } }
    : { status: 201, body: { user, order, payment } };
}

function newOrder({ userId, items }) {
  const isItem = ({ quantity, price }) =>
    Number.isInteger(quantity) && quantity > 0 && Number.isInteger(price) && price >= 0;
  const valid = Array.isArray(items) && items.length > 0 && items.every((item) => item && isItem(item));
  if (!valid) throw new Problem(400, "invalid-request", "An order has items with a quantity and a price");
  const totalAmount = items.reduce((total, { price, quantity }) => total + price * quantity, 0);
  return { id: randomUUID(), userId, items, totalAmount, status: "pending", createdAt: new Date().toISOString() };
}

/** The rows of an order's end, and of the event that tells of it. */
function ending(id, status, more) {
  const order = { ...getOrder(id), status };
  // Told after the commit, when this turn of the event loop is over.
  setImmediate(() => settled.emit(id));
  return [
    ["orders", order],
    ["endings", { id, ...more }],
    outbox(`${id}/${status}`, "order.events", `order.${status}`, id, order),
  ];
}

function getOrder(id) {
  const order = db.get("orders", id);
  if (!order) throw new Problem(404, "order-not-found", "Order not found");
  return order;
}

const accept = ({ orderId }) =>
  db.get("orders", orderId) ? { status: 200, body: { orderId } } : refuse("order-not-found", "Order not found");
const cancel = ({ orderId, reason }) => ({
  status: 200,
  body: { undone: true },
  rows: ending(orderId, "cancelled", { reason }),
});
const confirm = ({ orderId, payment }) => ({
  status: 200,
  body: { orderId },
  rows: ending(orderId, "confirmed", { payment }),
});

const { port, announce } = await serve(
  {
    "POST /api/orders": placeOrder,
    "GET /api/orders/{id}": ({ params }) => getOrder(params.id),
    "POST /saga/accept": step(db, accept),
    "POST /saga/cancel": undo(db, (_, request) => cancel(request)),
    "POST /saga/confirm": step(db, confirm),
  },
  { leave: () => registration.leave() },
);
const registration = stayRegistered(port);
await registration.registered;
announce();
void relay(db);
