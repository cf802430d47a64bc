// The stock, and what is reserved of it.

import { refuse, step, undo } from "../lib/barrier.mjs";
import { stayRegistered } from "../lib/platform.mjs";
import { Problem, database, serve } from "../lib/service.mjs";

const db = database();
for (const id of ["p-1", "p-2"]) if (!db.get("stock", id)) db.commit(["stock", { id, available: 1_000 }]);

/** The rows of the stock after `sign` times these items. */
function moved(items, sign) {
  const change = new Map();
  for (const { productId, quantity } of items) change.set(productId, (change.get(productId) ?? 0) + sign * quantity);
  return [...change].map(([id, by]) => ["stock", { id, available: (db.get("stock", id)?.available ?? 0) + by }]);
}

function reserve({ orderId, items }) {
  const rows = moved(items, -1);
  if (rows.some(([, { available }]) => available < 0)) return refuse("insufficient-inventory", "There is not enough");
  return { status: 201, body: { orderId, items }, rows };
}

const release = ({ items }) => ({ status: 200, body: { undone: true }, rows: moved(items, 1) });

function stockOf({ params }) {
  const stock = db.get("stock", params.id);
  if (!stock) throw new Problem(404, "product-not-found", "Product not found");
  return stock;
}

const { port, announce } = await serve(
  {
    "GET /api/inventory/{id}": stockOf,
    "POST /saga/reserve": step(db, reserve),
    "POST /saga/release": undo(db, release),
  },
  { leave: () => registration.leave() },
);
const registration = stayRegistered(port);
await registration.registered;
announce();
