// The monolith over HTTP.

import { MonolithicApp } from "./app.mjs";
import { database, serve } from "../lib/service.mjs";

const app = new MonolithicApp(database());

const { announce } = await serve({
  "POST /api/orders": async ({ body }) => ({ status: 201, body: await app.processOrder(body.userId, body) }),
  "GET /api/orders/{id}": ({ params }) => app.orderModule.getOrder(params.id),
  "GET /api/users/{id}": ({ params }) => app.userModule.validateUser(params.id),
  "GET /api/notifications": ({ query }) => app.notificationModule.notificationsOf(query.userId),
  "GET /api/reports/orders": () => app.orderModule.report(),
  // For the service that was split out: the data is still here. The gateway offers none of it.
  "POST /internal/orders": ({ body }) => app.orderModule.createOrder(body),
  "POST /internal/payments": ({ body }) => app.paymentModule.processPayment(body),
  "POST /internal/notifications": ({ body }) => app.notificationModule.sendNotification(body.user, body.order),
});
announce();
