// Step 4: the orders service gets a database of its own, and nobody notices.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { check, get, placeOrder, run, until } from "../lib/run.mjs";

const BEFORE = 5;

await run(import.meta.url, {
  async start(world) {
    await world.ieum();
    // The monolith as it was takes some orders; then the one of this step takes its place and its data.
    const before = await world.program("monolith", "../3/main.mjs");
    for (let n = 0; n < BEFORE; n += 1) await placeOrder(before);
    await world.stop("monolith");
    await world.program("monolith", "main.mjs");
    await world.enter("monolith");
    await world.found("monolith");
    await world.program("orders", "orders.mjs");
    await world.found("orders");
  },

  async walk(world) {
    const { gateway, programs } = world;
    const admin = { authorization: `Bearer ${world.token("admin")}` };
    const report = async () => (await get(`${gateway}/api/reports/orders`, admin)).body;
    const count = async () => (await get(`${programs.orders.address}/internal/count`)).body.orders;
    const written = () => readFileSync(join(world.data, "monolith.jsonl"), "utf8").split('["orders",').length - 1;
    const [known, lines] = [await count(), written()];
    check(known === BEFORE && (await report()).orders === BEFORE, `${known} orders of the monolith were taken over`);

    const { status, body } = await placeOrder(gateway);
    check(status === 201 && body.order.status === "confirmed", `${body.user.name} orders as before`);
    check(
      (await placeOrder(gateway, { items: [{ productId: "p-1", quantity: 1, price: 2_000_000 }] })).status === 402,
      "a card that is too small is declined as before",
    );
    await until("the report has both", async () => (await report()).orders === BEFORE + 1);
    check(true, "the monolith's report has the new order too, by an event");
    check(written() === lines && (await count()) === BEFORE + 2, "and the monolith's own table was not written again");
  },
});
