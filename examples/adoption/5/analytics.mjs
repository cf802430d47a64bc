// What was sold: a view of its own, kept by events (CQRS), in place of a look into somebody's table.

import { consume, stayRegistered } from "../lib/platform.mjs";
import { database, serve } from "../lib/service.mjs";

const db = database();

const rowsOf = ({ type, data: { id, totalAmount } }) =>
  type === "order.confirmed" ? [["sold", { id, totalAmount }]] : [];

function report() {
  const sold = db.all("sold");
  return { orders: sold.length, totalAmount: sold.reduce((total, order) => total + order.totalAmount, 0) };
}

const { port, announce } = await serve({ "GET /api/reports/orders": report }, { leave: () => registration.leave() });
const registration = stayRegistered(port);
await registration.registered;
announce();
void consume(db, "order.events", rowsOf);
