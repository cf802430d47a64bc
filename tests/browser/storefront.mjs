// What a buyer does in the storefront, in a real browser, through the gateway:
//
//   node storefront.mjs SCENE GATEWAY [ARGUMENT…]
//
// Every scene also holds that the console stays silent and that the page never breaks its policy.

import { eventually, unexpected, withPage } from "./browser.mjs";

/** What somebody may call themselves, or a product, to attack who looks at it. */
const HOSTILE = "<img src=x onerror=window.attacked=1>";
const PASSWORD = "correct horse battery";

const [scene, gateway, ...rest] = process.argv.slice(2);

function check(condition, what) {
  if (!condition) throw new Error(what);
}

async function signUp(page, name) {
  await page.goto(`${gateway}/#/sign-in`);
  await page.getByRole("button", { name: "Sign up" }).click();
  const email = `buyer-${Date.now()}-${Math.trunc(Math.random() * 1e9)}@example.com`;
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.locator("form.panel").getByRole("button", { name: "Sign up" }).first().click();
  await page.getByRole("link", { name: "Orders" }).waitFor();
}

/** Finds a product by a part of its name and puts it into the basket. */
async function choose(page, part, name) {
  await page.goto(`${gateway}/#/`);
  // The shelf that was there gives way when the answer comes: a click in between hits nothing.
  const found = page.waitForResponse((reply) => new URL(reply.url()).searchParams.get("q") === part);
  await page.getByRole("searchbox").fill(part);
  await found;
  await page.getByRole("heading", { name: `Results for “${part}”` }).waitFor();
  await page.getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
  await page.getByRole("button", { name: "Add to basket" }).click();
  await page.getByRole("link", { name: "Go to basket" }).click();
}

async function payByCard(page, number) {
  await page.getByRole("radio", { name: /^Card/ }).check();
  await page.getByLabel("Card number").fill(number);
  await page.getByLabel("Expires").fill("12/40");
  await page.getByLabel("Security code").fill("123");
}

async function order(page) {
  await page.getByRole("button", { name: /^Order for/ }).click();
}

/** The stages of the order that is shown: name → state. */
async function stages(page) {
  const items = await page.locator("ol > li").all();
  const pairs = items.map(async (item) => [
    await item.locator(".name").innerText(),
    await item.locator(".state").innerText(),
  ]);
  return Object.fromEntries(await Promise.all(pairs));
}

async function stagesBecome(page, wanted) {
  const names = Object.keys(wanted);
  let shown = {};
  const becomes = async () => {
    shown = await stages(page);
    return names.every((name) => shown[name] === wanted[name]);
  };
  await eventually("the stages", becomes).catch((error) => {
    throw new Error(`${error.message}\n${JSON.stringify({ wanted, shown }, null, 2)}`);
  });
}

async function text(page) {
  return page.locator("main").innerText();
}

/** An order completes while one looks, and is found again with what was paid and sent. */
async function completes({ page }) {
  const streams = [];
  page.on("response", (response) => {
    if (response.url().endsWith("/events")) streams.push(response);
  });
  const polls = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/progress")) polls.push(request.url());
  });
  await signUp(page, "Buyer");
  await choose(page, "운동화", "가죽운동화");
  await order(page);
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  await stagesBecome(page, {
    "Order placed": "done",
    "Pieces set aside": "done",
    Payment: "done",
    Shipment: "done",
    "Order complete": "done",
    "Message sent": "done",
  });
  check(streams.length === 1, `${streams.length} streams`);
  const type = streams[0].headers()["content-type"];
  check(type === "text/event-stream", `the stream is ${type}`);
  check(polls.length === 0, "what streams is not asked for");
  const said = await text(page);
  for (const words of ["Paid", "Ready to go", "₩89,000", "Finished"]) {
    check(said.includes(words), `${words}: ${said}`);
  }
  await page.getByRole("link", { name: "Orders", exact: true }).click();
  await page.getByRole("link", { name: /가죽운동화.*Complete/ }).waitFor();
  await page.getByRole("link", { name: "Messages" }).click();
  await page.getByText("Your order is complete.").waitFor();
}

/** A card that is declined: the order says why, and that nothing was charged. */
async function declined({ page }) {
  await signUp(page, "Buyer");
  await choose(page, "가방", "캔버스 가방");
  await payByCard(page, "4000 0000 0000 9995");
  await order(page);
  await page.getByRole("heading", { name: "Your order was cancelled" }).waitFor();
  await stagesBecome(page, {
    "Order placed": "done",
    "Pieces set aside": "The pieces went back on the shelf",
    Payment: "Declined by the bank",
    Shipment: "not done",
  });
  await page.getByText("There is not enough money in the account.").waitFor();
  const said = await text(page);
  for (const words of ["The card payment was declined.", "You were not charged.", "Declined"]) {
    check(said.includes(words), `${words}: ${said}`);
  }
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  check(!/9995|4000/.test(kept), "the card is kept nowhere");
}

/** An address nobody delivers to: what was paid goes back. */
async function undeliverable({ page }) {
  await signUp(page, "Buyer");
  await choose(page, "양말", "울 양말 세 켤레");
  await page.getByRole("radio", { name: /^Send it home/ }).check();
  await page.getByLabel("Street and number").fill("세종대로 110");
  await page.getByLabel("City").fill("서울");
  await page.getByLabel("Postal code").fill("99999");
  await payByCard(page, "4242 4242 4242 4242");
  await order(page);
  await page.getByRole("heading", { name: "Your order was cancelled" }).waitFor();
  await stagesBecome(page, {
    "Pieces set aside": "The pieces went back on the shelf",
    Payment: "Your money went back",
    Shipment: "Nobody delivers there",
  });
  await page.getByText("₩15,000 went back to you in full.").waitFor();
  const said = await text(page);
  for (const words of ["We cannot deliver to the address you gave.", "Refunded", "•••• 4242"]) {
    check(said.includes(words), `${words}: ${said}`);
  }
}

/** More than there is: the order says so, and nothing was done. */
async function outOfStock({ page }) {
  await signUp(page, "Buyer");
  await choose(page, "시계", "한정판 시계");
  await page.getByLabel("한정판 시계: Quantity").locator("input").fill("10");
  await page.keyboard.press("Tab");
  await page.getByRole("button", { name: "Order for ₩9,900,000" }).click();
  await page.getByText("There were not enough pieces in stock.").waitFor();
  await stagesBecome(page, { "Pieces set aside": "Not enough in stock", Payment: "not done" });
}

/** Names that are code are text, wherever they are shown. */
async function hostile({ page }) {
  await signUp(page, HOSTILE);
  await page.getByRole("banner").getByText(HOSTILE).waitFor();
  const [product] = rest;
  await choose(page, "onerror", product);
  await page.getByRole("link", { name: product }).waitFor();
  await order(page);
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  await page.getByRole("link", { name: product }).waitFor();
  await page.goto(`${gateway}/#/?q=${encodeURIComponent(HOSTILE)}`);
  await page.getByRole("heading", { name: `Results for “${HOSTILE}”` }).waitFor();
  check((await page.locator("img").count()) === 0, "no name became an element");
  check((await page.evaluate(() => window.attacked)) === undefined, "no name ran");
}

/** Without its stream the page asks now and then, and gets to the same end. */
async function polls({ page, context }) {
  await context.route("**/events", (route) => route.abort());
  await signUp(page, "Buyer");
  await choose(page, "청", "청바지");
  await order(page);
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  await stagesBecome(page, { Payment: "done", Shipment: "done", "Message sent": "done" });
  // The stream was broken on purpose.
  return [/ERR_FAILED.*\/events/];
}

/** Everything by keyboard; the language and the light are remembered, and nonsense is forgotten. */
async function keyboard({ page }) {
  await page.goto(gateway);
  await page.getByRole("link", { name: "가죽운동화" }).waitFor();
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the content" });
  check(await skip.evaluate((link) => link === document.activeElement), "first comes the skip link");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "가죽운동화", level: 1 }).waitFor();
  await page.getByRole("button", { name: "한국어" }).press("Enter");
  await page.getByRole("button", { name: "장바구니에 담기" }).press("Enter");
  await page.getByText("가죽운동화를 장바구니에 담았습니다.").waitFor();
  await page.getByRole("button", { name: "어두운 화면으로" }).press("Enter");
  await page.reload();
  await page.getByRole("link", { name: "장바구니, 1개" }).waitFor();
  const root = await page.evaluate(() => ({
    language: document.documentElement.lang,
    theme: document.documentElement.dataset.theme,
  }));
  check(root.language === "ko" && root.theme === "dark", JSON.stringify(root));
  for (const nonsense of ["{", "7", '[{"quantity":1}]']) {
    await page.evaluate((text) => {
      for (const key of Object.keys(localStorage)) localStorage.setItem(key, text);
    }, nonsense);
    await page.goto(`${gateway}/#/basket`);
    await page.reload();
    await page.getByText("Your basket is empty.").waitFor();
  }
}

/** The shelf is asked for once, however long one looks at it. */
async function calm({ page }) {
  const asked = [];
  page.on("request", (request) => {
    if (request.url().includes("/products?")) asked.push(request.url());
  });
  await page.clock.install();
  await page.goto(gateway);
  await page.getByRole("link", { name: "가죽운동화" }).waitFor();
  for (let second = 0; second < 5; second += 1) {
    await page.clock.runFor(1_000);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
  check(asked.length === 1, asked.join("\n"));
}

/** What is ordered in one tab is in no other tab's basket, and who leaves leaves no card behind. */
async function leaves({ page, context }) {
  await signUp(page, "Buyer");
  await choose(page, "양말", "울 양말 세 켤레");
  const other = await context.newPage();
  await other.goto(`${gateway}/#/basket`);
  await other.getByRole("link", { name: "울 양말 세 켤레" }).waitFor();
  await order(page);
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  await other.getByText("Your basket is empty.").waitFor();
  await choose(page, "양말", "울 양말 세 켤레");
  await payByCard(page, "4242 4242 4242 4242");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("link", { name: /^Basket/ }).click();
  const number = page.getByLabel("Card number");
  await number.waitFor();
  check((await number.inputValue()) === "", "the card is forgotten");
}

/** The answer to an order gets lost, the page is loaded again: there is one order all the same. */
async function lostAnswer({ page, context }) {
  let isCut = true;
  await context.route("**/api/v1/orders", async (route) => {
    if (!isCut || route.request().method() !== "POST") return route.continue();
    await route.fetch();
    await route.abort();
  });
  const loseAndReload = async () => {
    isCut = true;
    await order(page);
    await page.getByText("The shop cannot be reached.").waitFor();
    await page.reload();
    isCut = false;
  };
  await signUp(page, "Buyer");
  await choose(page, "양말", "울 양말 세 켤레");
  await loseAndReload();
  await order(page);
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  check((await placed(page)) === 1, "the same basket is ordered once");

  const shipByCard = async (number) => {
    await page.getByRole("radio", { name: /^Send it home/ }).check();
    await page.getByLabel("Street and number").fill("세종대로 110");
    await page.getByLabel("City").fill("서울");
    await page.getByLabel("Postal code").fill("04524");
    await payByCard(page, number);
  };
  await choose(page, "양말", "울 양말 세 켤레");
  await shipByCard("4242 4242 4242 4242");
  await loseAndReload();
  await shipByCard("5555 5555 5555 4444");
  await order(page);
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  await page.getByText("•••• 4242").waitFor();
  check((await placed(page)) === 2, "with another card it is the same order");

  await choose(page, "양말", "울 양말 세 켤레");
  await page.getByRole("radio", { name: /^Collect at the shop/ }).check();
  await page.getByRole("radio", { name: /^Store account/ }).check();
  await loseAndReload();
  await page.getByRole("button", { name: "One more" }).click();
  await order(page);
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  check((await placed(page)) === 4, "another basket is another order");
  const kept = await page.evaluate(() => Object.keys(sessionStorage));
  check(!kept.some((key) => key.includes("unsettled")), "what was answered is forgotten");
  // What was sent with another card is refused at first: its key belongs to the order that arrived.
  return [/(ERR_FAILED|422).*\/orders/];
}

/** How many orders the one who is signed in has, by the API. */
async function placed(page) {
  const { token } = await page.evaluate(() => JSON.parse(sessionStorage["ieum-store.session"]));
  const headers = { authorization: `Bearer ${token}` };
  return (await (await fetch(`${gateway}/api/v1/orders?limit=50`, { headers })).json()).length;
}

/** What a thing costs today is what the basket says and what the order costs. */
async function prices({ page, context }) {
  const [token] = rest;
  const name = "가격이 바뀌는 컵";
  const found = await fetch(`${gateway}/api/v1/products?q=${encodeURIComponent(name)}`);
  const [{ id }] = await found.json();
  const costs = async (price) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const body = JSON.stringify({ price });
    const answer = await fetch(`${gateway}/api/v1/products/${id}`, { method: "PATCH", headers, body });
    check(answer.ok, `the price is changed: ${answer.status}`);
  };
  await signUp(page, "Buyer");
  await choose(page, "가격이", name);
  await page.getByRole("button", { name: "Order for ₩12,000" }).waitFor();
  await costs(13_000);
  await page.reload();
  await page.getByRole("button", { name: "Order for ₩13,000" }).waitFor();
  await page.getByText("was ₩12,000").waitFor();
  await page.getByText("A price changed since you chose.").waitFor();
  await costs(14_000);
  await page.getByRole("button", { name: "Order for ₩13,000" }).click();
  await page.getByRole("button", { name: "Order for ₩14,000" }).waitFor();
  check((await placed(page)) === 0, "nobody orders for another sum than the button said");
  await page.getByRole("button", { name: "Order for ₩14,000" }).click();
  await page.getByRole("heading", { name: "Your order is complete" }).waitFor();
  check((await text(page)).includes("₩14,000"), "the order costs what the button said");

  await choose(page, "가격이", name);
  const gone = { status: 404, json: { code: "not-found", title: "Not found", status: 404 } };
  await context.route(`**/api/v1/products/${id}`, (route) => route.fulfill(gone));
  await page.reload();
  await page.getByText("Remove what is not sold any more").waitFor();
  check(await page.getByRole("button", { name: /^Order for/ }).isDisabled(), "it cannot be ordered");
  return [/404/];
}

/** More orders are added once, however often one asks for them. */
async function more({ page, context }) {
  const orders = Array.from({ length: 30 }, (_, index) => ({
    id: `order-${index}`,
    items: [{ productId: "p", quantity: 1, price: 1 }],
    total: 1,
    currency: "KRW",
    status: "completed",
    createdAt: "2026-01-01T00:00:00Z",
  }));
  await context.route("**/api/v1/orders?*", async (route) => {
    const after = new URL(route.request().url()).searchParams.get("after");
    const first = orders.findIndex(({ id }) => id === after) + 1;
    await route.fulfill({ json: orders.slice(first, first + 24) });
  });
  await signUp(page, "Buyer");
  await page.getByRole("link", { name: "Orders", exact: true }).click();
  await page.getByRole("button", { name: "More" }).dblclick();
  await page.locator('a[href="#/orders/order-29"]').waitFor();
  check((await page.locator("main li").count()) === orders.length, "each order is there once");
  // Nobody sells the product that was made up.
  return [/404/];
}

/** Where the browser may keep nothing, the page forgets, and works. */
async function forgetful({ page }) {
  await page.addInitScript(() => {
    for (const name of ["localStorage", "sessionStorage"]) {
      const get = () => {
        throw new DOMException("forbidden", "SecurityError");
      };
      Object.defineProperty(window, name, { get });
    }
  });
  await page.goto(gateway);
  await page.getByRole("link", { name: "가죽운동화" }).click();
  await page.getByRole("button", { name: "Add to basket" }).click();
  await page.getByRole("link", { name: "Basket, 1 piece" }).waitFor();
}

const SCENES = {
  completes,
  declined,
  undeliverable,
  outOfStock,
  hostile,
  polls,
  keyboard,
  calm,
  leaves,
  lostAnswer,
  prices,
  more,
  forgetful,
};

const play = SCENES[scene];
check(play !== undefined, `there is no scene ${scene}: ${Object.keys(SCENES).join(", ")}`);
await withPage({ colorScheme: "light" }, async (world) => {
  const expected = (await play(world)) ?? [];
  const found = unexpected(world.findings, expected);
  check(found.length === 0, `the page did wrong:\n${found.join("\n")}`);
});
console.log(`${scene}: well`);
