// The console while an upstream dies and comes back: its breaker is seen to open and to close.
//
// node console-breaker.mjs PLATFORM GATEWAY (both as host:port); the gateway leads /fragile to `fragile`

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { withPage } from "./browser.mjs";

const [api, gateway] = process.argv.slice(2).map((address) => `http://${address}`);

const port = await (await startUpstream(0)).die();
let upstream = await startUpstream(port);
await register();

await withPage({}, async ({ page, findings }) => {
  await page.goto(`${api}/ui#/breakers`);
  await page.getByText("Live", { exact: true }).waitFor();
  await keepCalling(async () => {
    const shown = (state) => page.locator(`li[data-state=${state}]`).filter({ hasText: "fragile" }).waitFor();
    await shown("closed");
    await upstream.die();
    await shown("open");
    await page
      .getByRole("navigation")
      .getByRole("link", { name: /^Breakers\s*1$/ })
      .waitFor();
    upstream = await startUpstream(port);
    await shown("closed");
  });
  const breaker = page.locator("li.card").filter({ hasText: "fragile" });
  await breaker.getByText(/^Changes/).click();
  const changes = breaker.locator("ol li");
  assert.ok((await changes.count()) >= 3, "closed, open, half-open, closed");
  assert.match(await changes.first().innerText(), /closed/);
  assert.deepEqual(findings, []);
});
await upstream.die();
console.log("opened and closed");

/** Sends request after request through the gateway while `work` goes on. */
async function keepCalling(work) {
  let isOver = false;
  const calls = (async () => {
    while (!isOver) {
      await fetch(`${gateway}/fragile`).then((answer) => answer.arrayBuffer());
      await new Promise((done) => setTimeout(done, 20));
    }
  })();
  try {
    await work();
  } finally {
    isOver = true;
    await calls;
  }
}

async function startUpstream(port) {
  const server = createServer((_, response) => response.end("here"));
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return {
    /** Ends it with its connections; answers where it was. */
    async die() {
      const { port } = server.address();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      return port;
    },
  };
}

async function register() {
  const body = { Name: "fragile", ID: "fragile-1", Address: "127.0.0.1", Port: port };
  const answer = await fetch(`${api}/v1/agent/service/register`, {
    method: "PUT",
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, await answer.text());
}
