// The monolith over HTTP.

import { MonolithicApp } from "./app.mjs";
import { database, serve } from "../lib/service.mjs";

const app = new MonolithicApp(database());

const { announce } = await serve({
  "GET /api/users/{id}": ({ params }) => app.userModule.validateUser(params.id),
});
announce();
