// Payments, and what is given back.

import { randomUUID } from "node:crypto";
import { refuse, step, undo } from "../lib/barrier.mjs";
import { stayRegistered } from "../lib/platform.mjs";
import { database, serve } from "../lib/service.mjs";

const db = database();
const CARD_LIMIT = 1_000_000;

function charge({ orderId, amount }) {
  if (amount > CARD_LIMIT) return refuse("payment-declined", "Payment declined");
  const payment = {
    id: randomUUID(),
    orderId,
    amount,
    method: "card",
    status: "completed",
    processedAt: new Date().toISOString(),
  };
  return { status: 201, body: payment, rows: [["payments", payment]] };
}

const refund = (payment) => ({
  status: 200,
  body: { undone: true },
  rows: [["payments", { ...payment, status: "refunded" }]],
});

const { port, announce } = await serve(
  {
    "GET /api/payments": ({ query }) => db.all("payments").filter(({ orderId }) => orderId === query.orderId),
    "POST /saga/charge": step(db, charge),
    "POST /saga/refund": undo(db, refund),
  },
  { leave: () => registration.leave() },
);
const registration = stayRegistered(port);
await registration.registered;
announce();
