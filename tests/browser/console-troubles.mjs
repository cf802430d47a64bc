// The console when something goes wrong, and for who works otherwise than most: answers that are none, calls
// that hang, another keyboard, names that turn the words around them.
//
// node console-troubles.mjs DIST

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { withPage } from "./browser.mjs";
import { open } from "./console-open.mjs";
import { startStub } from "./stub.mjs";

let small;

before(async () => {
  small = await startStub({ dist: process.argv[2] });
});

after(() => small.close());

test("an answer that cannot be read is told as that", async () => {
  await withPage({}, async ({ page, context, findings }) => {
    await context.route("**/api/v1/services", (route) => route.fulfill({ body: "{nope" }));
    await open(page, small, "services");
    await page.getByRole("alert").getByText("cannot be read").waitFor();
    assert.deepEqual(findings, []);
  });
});

test("an answer without its list is told as that", async () => {
  await withPage({}, async ({ page, context, findings }) => {
    await context.route("**/api/v1/traces/*", (route) => route.fulfill({ json: { traceId: "1" } }));
    await open(page, small, "traces/1");
    await page.getByRole("alert").getByText("“spans” is missing").waitFor();
    assert.deepEqual(findings, []);
  });
});

test("a call that hangs is given up, and asked again when one says so", async () => {
  await withPage({}, async ({ page, context, findings }) => {
    // The limits as they are, a twentieth as long.
    await page.addInitScript(() => {
      const timeout = AbortSignal.timeout.bind(AbortSignal);
      window.limits = new Set();
      AbortSignal.timeout = (limit) => {
        window.limits.add(limit);
        return timeout(limit / 20);
      };
    });
    let hangs = true;
    const hang = (route) => (hangs ? undefined : route.continue());
    await context.route("**/api/v1/services", hang);
    await context.route("**/retry", hang);
    await open(page, small, "services");
    await page.getByRole("alert").getByText("took too long").waitFor();
    hangs = false;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("link", { name: "orders", exact: true }).waitFor();
    hangs = true;
    const running = small.world.sagas.find(({ status }) => status === "running");
    await open(page, small, `sagas/${running.id}`);
    await page.getByRole("button", { name: "Retry now" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Retry now" }).click();
    await page.getByRole("dialog").getByText("took too long").waitFor();
    assert.deepEqual(await page.evaluate(() => [...window.limits].toSorted()), [15_000, 30_000]);
    assert.deepEqual(findings, []);
  });
});

test("an impact that is no longer asked for leaves no sign of loading", async () => {
  await withPage({}, async ({ page, context, findings }) => {
    await context.route("**/api/v1/impact/*", () => {});
    await open(page, small, "impact?subject=order.placed");
    await page.getByText("Loading …").waitFor();
    await page.evaluate(() => (location.hash = "#/impact"));
    await page.getByText("Loading …").waitFor({ state: "detached" });
    assert.deepEqual(findings, []);
  });
});

test("keys work under a Hangul keyboard, and can be switched off", async () => {
  await withPage({}, async ({ page, findings }) => {
    const press = (key, code) =>
      page.evaluate(
        (init) => document.body.dispatchEvent(new KeyboardEvent("keydown", { ...init, bubbles: true })),
        { key, code },
      );
    const title = (name) => page.getByRole("heading", { level: 1, name });
    await open(page, small);
    await press("ㅎ", "KeyG");
    await press("ㄴ", "KeyS");
    await title("Services").waitFor();
    await press("Process", "KeyG");
    await press("Process", "KeyR");
    await title("Routes").waitFor();
    await page.keyboard.press("?");
    await page.getByRole("checkbox", { name: /^Use single keys/ }).uncheck();
    await page.keyboard.press("Escape");
    await page.reload();
    await title("Routes").waitFor();
    for (const key of ["?", "/", "g", "s"]) await page.keyboard.press(key);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
    assert.equal(await page.getByRole("dialog").count(), 0);
    assert.equal(await page.locator("input:focus").count(), 0);
    assert.ok(await title("Routes").isVisible());
    await page.getByRole("button", { name: "Keys" }).click();
    await page.getByRole("checkbox", { name: /^Use single keys/ }).check();
    await page.keyboard.press("Escape");
    await page.locator("main").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await title("Services").waitFor();
    assert.deepEqual(findings, []);
  });
});

test("spans in a circle are shown, and a name turns no word around it", async () => {
  const span = (spanId, parent, name) => ({
    ...{ spanId, parent, name, service: "orders", kind: "server", error: null, attributes: [] },
    ...{ start: "2026-01-01T00:00:00.000Z", end: "2026-01-01T00:00:00.010Z" },
  });
  const spans = [
    span("a", null, "root"),
    span("b", "c", "\u202Eone"),
    span("c", "b", "other"),
    span("d", "d", "self"),
  ];
  await withPage({}, async ({ page, context, findings }) => {
    const trace = { traceId: "1", spans, logs: [] };
    await context.route("**/api/v1/traces/*", (route) => route.fulfill({ json: trace }));
    await open(page, small, "traces/1");
    await page.locator("#span-d").waitFor();
    for (const { spanId } of spans) assert.equal(await page.locator(`#span-${spanId}`).count(), 1);
    assert.equal(await page.locator("#span-b bdi", { hasText: "one" }).count(), 1);
    assert.deepEqual(findings, []);
  });
});
