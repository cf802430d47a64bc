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
});
announce();
