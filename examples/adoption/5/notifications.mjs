// What users are told, by events. Nobody waits for it.

import { randomUUID } from "node:crypto";
import { consume, stayRegistered } from "../lib/platform.mjs";
import { database, serve } from "../lib/service.mjs";

const db = database();

function rowsOf({ type, data: order }) {
  if (type !== "order.confirmed") return [];
  const message = `Order ${order.id} is ${order.status}`;
  return [["notifications", { id: randomUUID(), userId: order.userId, orderId: order.id, message }]];
}

const { port, announce } = await serve(
  { "GET /api/notifications": ({ query }) => db.all("notifications").filter(({ userId }) => userId === query.userId) },
  { leave: () => registration.leave() },
);
const registration = stayRegistered(port);
await registration.registered;
announce();
void consume(db, "order.events", rowsOf);
