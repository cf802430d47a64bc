// The orders service: the monolith's order flow, and nothing else of it. The data stays where it is for
// now, so either side may answer any request, and going back costs nothing.

import { call, stayRegistered } from "../lib/platform.mjs";
import { serve } from "../lib/service.mjs";

async function placeOrder({ body, headers }) {
  const ask = (path, body) => call("monolith", path, { method: body ? "POST" : "GET", body, headers });
  const user = await ask(`/api/users/${encodeURIComponent(body.userId)}`);
  const created = await ask("/internal/orders", body);
  const payment = await ask("/internal/payments", created);
  const order = await ask(`/api/orders/${created.id}`);
  await ask("/internal/notifications", { user, order });
  return { status: 201, body: { user, order, payment } };
}

const { port, announce } = await serve(
  {
    "POST /api/orders": placeOrder,
    "GET /api/orders/{id}": ({ params, headers }) =>
      call("monolith", `/api/orders/${encodeURIComponent(params.id)}`, { headers }),
  },
  { leave: () => registration.leave() },
);
const registration = stayRegistered(port);
await registration.registered;
announce();
