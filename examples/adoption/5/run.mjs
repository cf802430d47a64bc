// Step 5: an order is a saga over four services; what follows from it are events.

import { check, get, placeOrder, run, until } from "../lib/run.mjs";

const SERVICES = ["inventory", "payments", "shipping", "orders", "notifications", "analytics"];
const ORDERS = 10;

await run(import.meta.url, {
  async start(world) {
    await world.ieum();
    await world.program("monolith", "main.mjs");
    await world.enter("monolith");
    for (const name of SERVICES) await world.program(name, `${name}.mjs`);
    for (const name of ["monolith", ...SERVICES]) await world.found(name);
  },

  async walk(world) {
    const { gateway } = world;
    const admin = { authorization: `Bearer ${world.token("admin")}` };
    const sold = async () => (await get(`${gateway}/api/reports/orders`, admin)).body.orders;
    const stock = async () => (await get(`${gateway}/api/inventory/p-1`)).body.available;

    console.log("An order, and what follows from it:");
    const { status, body } = await placeOrder(gateway);
    check(status === 201 && body.order.status === "confirmed", `${body.user.name} orders as before`);
    const notified = `${gateway}/api/notifications?userId=${body.user.id}`;
    await until("the user is told", async () => (await get(notified)).body.length === 1);
    await until("it is counted", async () => (await sold()) === 1);
    check(true, "the user was told, and it was counted, by events");

    console.log("A shipment that is refused:");
    const before = await stock();
    const refused = await placeOrder(gateway, { address: "nowhere" });
    check(refused.status === 409 && refused.body.code === "shipping-refused", "the caller is told why");
    check((await stock()) === before, "the stock is what it was, and the money is given back");

    console.log("A service that dies under way:");
    const placing = Array.from({ length: ORDERS }, () => placeOrder(gateway));
    process.kill(world.programs.payments.pid, "SIGKILL");
    const answers = await Promise.all(placing);
    check(
      answers.every((answer) => answer.status === 201 || answer.status === 202),
      `${ORDERS} orders are taken all the same`,
    );
    await until("all are confirmed", async () => (await sold()) === 1 + ORDERS);
    check(true, "each was confirmed once");
  },
});
