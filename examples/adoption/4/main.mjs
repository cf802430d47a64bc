// The monolith over HTTP.

import { MonolithicApp } from "./app.mjs";
import { consume } from "../lib/platform.mjs";
import { database, serve } from "../lib/service.mjs";

const db = database();
const app = new MonolithicApp(db);

const { announce } = await serve({
  "GET /api/users/{id}": ({ params }) => app.userModule.validateUser(params.id),
  "GET /api/notifications": ({ query }) => app.notificationModule.notificationsOf(query.userId),
  "GET /api/reports/orders": () => app.orderModule.report(),
  // For the orders service. The gateway offers none of it.
  "GET /internal/orders": ({ query }) => app.orderModule.page(Number(query.after)),
  "POST /internal/payments": ({ body }) => app.paymentModule.processPayment(body),
});
announce();
void consume(db, "order.events", (event) => app.changesOf(event));
