// Step 3: one path moves from the monolith to a service, share by share, and back.

import { check, get, placeOrder, run } from "../lib/run.mjs";
import { share } from "./share.mjs";

const REQUESTS = 200;

await run(import.meta.url, {
  async start(world) {
    await world.ieum();
    await world.program("monolith", "main.mjs");
    await world.enter("monolith");
    await world.program("orders", "orders.mjs");
    for (const name of ["monolith", "orders"]) await world.found(name);
  },

  async walk({ gateway }) {
    console.log("Both sides answer the same:");
    const answers = [];
    for (const percent of [0, 100]) {
      await share(percent);
      const { status, body, by } = await placeOrder(gateway);
      answers.push(Object.keys(body).concat(Object.keys(body.order), Object.keys(body.payment)).join());
      check(status === 201 && body.order.status === "confirmed", `${by} takes an order of ${body.order.totalAmount}`);
    }
    check(answers[0] === answers[1], "the answers have the same members");

    console.log(`The share of ${REQUESTS} requests:`);
    const { order } = (await placeOrder(gateway)).body;
    for (const percent of [0, 10, 50, 100, 0]) {
      await share(percent);
      let moved = 0;
      for (let n = 0; n < REQUESTS; n += 1) {
        const { status, by } = await get(`${gateway}/api/orders/${order.id}`);
        if (status !== 200) throw new Error(`lost one at ${percent} %: ${status}`);
        moved += by === "orders" ? 1 : 0;
      }
      const found = (100 * moved) / REQUESTS;
      check(Math.abs(found - percent) <= 2, `${percent} %: ${found} % were answered by the new service`);
    }
  },
});
