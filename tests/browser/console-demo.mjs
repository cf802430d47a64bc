// The console of a real shop in which orders were refused: an operator finds out why and acts.
//
// node console-demo.mjs PLATFORM (its API as host:port)

import assert from "node:assert/strict";
import { eventually, withPage } from "./browser.mjs";
import { HOSTILE } from "./world-names.mjs";

const api = `http://${process.argv[2]}`;

await giveUpOnAMessage();
await register(HOSTILE);
await withPage({}, async ({ page, findings }) => {
  await page.goto(`${api}/ui`);
  await page.getByText("Live", { exact: true }).waitFor();
  await seesTheMap(page);
  await findsOutWhy(page);
  await replaysADeadLetter(page);
  await seesAHostileName(page);
  assert.deepEqual(findings, []);
});
console.log("seen and understood");

async function seesTheMap(page) {
  const map = page.getByRole("group", { name: "Service map" });
  for (const name of ["gateway", "orders", "payments"]) {
    await map.getByRole("button", { name: new RegExp(`^${name}:`) }).waitFor();
  }
  await map.getByRole("button", { name: /^orders:/ }).click();
  await page.getByRole("heading", { level: 2, name: "orders" }).waitFor();
}

/** From the list to a saga that was compensated, to the reason, to its trace. */
async function findsOutWhy(page) {
  await page.getByRole("navigation").getByRole("link", { name: "Sagas" }).click();
  await page.getByRole("button", { name: /^compensated/ }).click();
  await page.locator("tbody tr[data-row]").first().getByText("compensated").waitFor();
  await page.locator("tbody tr[data-row] a").first().click();
  await page.getByRole("heading", { level: 1, name: "place-order" }).waitFor();
  const id = new URL(page.url()).hash.split("/").at(-1);
  const saga = await get(`/api/v1/sagas/${id}`);
  const why = page.getByRole("region", { name: /^Why it was undone/ });
  await why.getByText(saga.failed.code).waitFor();
  assert.ok((await why.innerText()).includes(saga.failed.detail), await why.innerText());
  const undone = saga.steps.filter(({ undo }) => undo?.progress === "done");
  assert.ok(undone.length > 0);
  assert.equal(await page.getByText("↩ undo").count(), undone.length);

  await page.getByRole("link", { name: "Its trace" }).click();
  const fall = page.getByRole("region", { name: "Spans against time" });
  for (const step of [saga.failed.step, ...undone.map(({ name }) => name)]) {
    await fall.getByText(step).first().waitFor();
  }
  await fall
    .getByText(/^gateway/)
    .first()
    .waitFor();
  const log = page.getByRole("region", { name: /^Log/ });
  await log.getByText(saga.failed.detail, { exact: false }).first().waitFor();
  await fall.getByRole("button", { name: /saga place-order/ }).click();
  await page
    .getByRole("complementary", { name: /saga place-order/ })
    .getByText(id)
    .waitFor();
  await page.getByRole("link", { name: "Its saga" }).click();
  await page.getByRole("heading", { level: 1, name: "place-order" }).waitFor();
}

async function replaysADeadLetter(page) {
  await page
    .getByRole("navigation")
    .getByRole("link", { name: /^Dead letters/ })
    .click();
  await page.getByText("the post office is closed").waitFor();
  await page.getByRole("button", { name: "Replay" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Replay" }).click();
  await page.getByText(/^Delivered again/).waitFor();
  await page.getByText("the post office is closed").waitFor({ state: "detached" });
  await eventually("no dead letter is left", async () => {
    const { deadLetters } = await get("/api/v1/dead-letters");
    return deadLetters.length === 0;
  });
}

async function seesAHostileName(page) {
  await page.getByRole("navigation").getByRole("link", { name: "Services" }).click();
  await page.getByRole("link", { name: HOSTILE }).click();
  await page.getByRole("heading", { level: 1, name: HOSTILE }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.evaluate(() => window.attacked), undefined);
}

/** A consumer that refuses the first message it gets. */
async function giveUpOnAMessage() {
  const group = "/api/v1/topics/order.events/groups/post";
  const { epoch } = await send("POST", `${group}/join`, { member: "post-1" });
  const { deliveries } = await send("POST", `${group}/pull`, { epoch, max: 1, wait: "10s" });
  const { position } = deliveries[0];
  await send("POST", `${group}/dead-letters`, { epoch, position, reason: "the post office is closed" });
}

async function register(name) {
  await send("PUT", "/v1/agent/service/register", {
    Name: name,
    ID: "hostile-1",
    Address: "127.0.0.1",
    Port: 9,
  });
}

async function get(path) {
  return send("GET", path);
}

async function send(method, path, body) {
  const request =
    body === undefined
      ? { method }
      : { method, body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await fetch(`${api}${path}`, request);
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}
