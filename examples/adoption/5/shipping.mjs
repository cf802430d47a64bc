// Shipments. An address that nobody finds is refused, after the money was taken: the saga gives it back.

import { randomUUID } from "node:crypto";
import { refuse, step, undo } from "../lib/barrier.mjs";
import { stayRegistered } from "../lib/platform.mjs";
import { database, serve } from "../lib/service.mjs";

const db = database();
const NOWHERE = "nowhere";

function ship({ orderId, address }) {
  if (address === NOWHERE) return refuse("shipping-refused", "Nobody lives there");
  const shipment = { id: randomUUID(), orderId, address, status: "created" };
  return { status: 201, body: shipment, rows: [["shipments", shipment]] };
}

const cancel = (shipment) => ({
  status: 200,
  body: { undone: true },
  rows: [["shipments", { ...shipment, status: "cancelled" }]],
});

const { port, announce } = await serve(
  {
    "POST /saga/ship": step(db, ship),
    "POST /saga/cancel": undo(db, cancel),
  },
  { leave: () => registration.leave() },
);
const registration = stayRegistered(port);
await registration.registered;
announce();
