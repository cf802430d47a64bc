// Step 2: a gateway in front of the monolith, which does not know of it.

import { check, get, placeOrder, run, until } from "../lib/run.mjs";

await run(import.meta.url, {
  async start(world) {
    await world.ieum();
    await world.program("monolith", "main.mjs");
    await world.enter("monolith");
    await world.found("monolith");
  },

  async walk(world) {
    const { gateway, platform } = world;
    console.log("The same order, through the gateway:");
    const { status, body } = await placeOrder(gateway);
    check(status === 201 && body.order.status === "confirmed", `${body.user.name} pays ${body.payment.amount}`);

    console.log("What the gateway adds:");
    const report = `${gateway}/api/reports/orders`;
    check((await get(report)).status === 401, "nobody reads the report without a token");
    const admin = { authorization: `Bearer ${world.token("admin")}` };
    check((await get(report, admin)).status === 200, "an admin does");
    const { headers } = await get(`${gateway}/api/orders/${body.order.id}`);
    const trace = `${platform}/api/v1/traces/${headers.get("x-request-id")}`;
    await until("the trace is there", async () => (await fetch(trace)).ok);
    check(true, `each request has a trace: ieum traces ${headers.get("x-request-id")}`);
    const many = await Promise.all(Array.from({ length: 60 }, () => placeOrder(gateway)));
    check(
      many.some((answer) => answer.status === 429),
      "who sends too many orders is told to wait",
    );
  },
});
