// The orders service with a database of its own: filled from the monolith's table once, before it can be
// found, and the only place where orders are written from then on.

import { randomUUID } from "node:crypto";
import { call, outbox, relay, stayRegistered } from "../lib/platform.mjs";
import { Problem, database, serve } from "../lib/service.mjs";

const db = database();
/** When an order that nobody waits for any more is looked at again. */
const SETTLE_MS = 2_000;

/** Takes over what the monolith has. A start that was interrupted goes on where it stopped. */
async function backfill() {
  for (;;) {
    const orders = await call("monolith", `/internal/orders?after=${db.all("orders").length}`);
    if (orders.length === 0) return;
    db.commit(...orders.map((order) => ["orders", order]));
  }
}

async function placeOrder({ body, headers }) {
  const user = await call("monolith", `/api/users/${encodeURIComponent(body.userId)}`, { headers });
  const created = newOrder(body);
  db.commit(["orders", created]);
  const payment = await pay(created, headers);
  return { status: 201, body: { user, order: getOrder(created.id), payment } };
}

function newOrder({ userId, items }) {
  const isItem = ({ quantity, price }) =>
    Number.isInteger(quantity) && quantity > 0 && Number.isInteger(price) && price >= 0;
  const valid = Array.isArray(items) && items.length > 0 && items.every((item) => item && isItem(item));
  if (!valid) throw new Problem(400, "invalid-request", "An order has items with a quantity and a price");
  const totalAmount = items.reduce((total, { price, quantity }) => total + price * quantity, 0);
  return { id: randomUUID(), userId, items, totalAmount, status: "pending", createdAt: new Date().toISOString() };
}

async function pay(order, headers) {
  try {
    const payment = await call("monolith", "/internal/payments", { method: "POST", body: order, headers });
    settle(order.id, "confirmed");
    return payment;
  } catch (error) {
    if (error.code === "payment-declined") settle(order.id, "cancelled");
    throw error;
  }
}

/** The order and the event that tells of it are one commit: neither is there without the other. */
function settle(id, status) {
  const order = getOrder(id);
  if (order.status !== "pending") return;
  const settled = { ...order, status };
  db.commit(["orders", settled], outbox(`${id}/${status}`, "order.events", `order.${status}`, id, settled));
}

function getOrder(id) {
  const order = db.get("orders", id);
  if (!order) throw new Problem(404, "order-not-found", "Order not found");
  return order;
}

/** What was left open by a crash, or by a payment that was not answered, is asked about again. */
async function settleOpen() {
  const isOpen = ({ status, createdAt }) => status === "pending" && Date.now() - Date.parse(createdAt) > SETTLE_MS;
  for (const order of db.all("orders").filter(isOpen)) await pay(order).catch(() => {});
  setTimeout(settleOpen, SETTLE_MS).unref();
}

const { port, announce } = await serve(
  {
    "POST /api/orders": placeOrder,
    "GET /api/orders/{id}": ({ params }) => getOrder(params.id),
    "GET /internal/count": () => ({ orders: db.all("orders").length }),
  },
  { leave: () => registration.leave() },
);
await backfill();
const registration = stayRegistered(port);
await registration.registered;
announce();
void relay(db);
void settleOpen();
