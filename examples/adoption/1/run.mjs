// Step 1: the monolith as it is, and what its order flow ties together.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { check, get, placeOrder, run } from "../lib/run.mjs";

await run(import.meta.url, {
  async start(world) {
    await world.program("monolith", "main.mjs");
  },

  async walk(world) {
    const at = world.programs.monolith.address;
    console.log("An order through the monolith:");
    const { status, body } = await placeOrder(at);
    check(status === 201 && body.order.status === "confirmed", `${body.user.name} pays ${body.payment.amount}`);
    check((await placeOrder(at, { userId: "u-0" })).status === 404, "an unknown user is refused");
    const { body: report } = await get(`${at}/api/reports/orders`);
    check(report.orders === 1, "and everybody may read the report: there is no door yet");

    console.log("\nWhat one order ties together (analyse.mjs):");
    const analyse = fileURLToPath(new URL("analyse.mjs", import.meta.url));
    const { status: ended } = spawnSync(process.execPath, [analyse], { stdio: "inherit" });
    check(ended === 0, "the analysis ran");
  },
});
