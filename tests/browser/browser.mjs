// Chromium for the browser tests: launched with nothing of its own on the network, and watched for
// what no page of ours may do: log an error, throw, break its content security policy.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Where the browser is; Debian's unless the environment names another. */
const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** How long a page may take to show what a test waits for, in milliseconds. */
export const PATIENCE = 20_000;

/**
 * Runs `work` with a page and ends the browser whatever happens.
 *
 * `options` are those of a Playwright context (`locale`, `colorScheme`, `viewport`, …). The page
 * comes with its findings: `{ page, context, findings }`.
 */
export async function withPage(options, work) {
  const folder = await mkdtemp(join(tmpdir(), "ieum-browser-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: PROGRAM,
    headless: true,
    args: FLAGS,
    locale: "en-US",
    viewport: { width: 1440, height: 900 },
    ...options,
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(PATIENCE);
    return await work({ page, context, findings: await watch(page) });
  } finally {
    await context.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Collects what a page does wrong, as texts: errors in its console, exceptions, violations of its
 * policy. To be called before the page goes anywhere.
 */
export async function watch(page) {
  const findings = [];
  page.on("console", (message) => {
    if (message.type() === "error") {
      findings.push(`console: ${message.text()} (${message.location().url})`);
    }
  });
  page.on("pageerror", (error) => findings.push(`exception: ${error.stack ?? error.message}`));
  await page.exposeFunction("ieumReportViolation", (what) => findings.push(`policy: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.ieumReportViolation(
        `${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  return findings;
}

/** The findings without those that a test brought about on purpose. */
export function unexpected(findings, expected) {
  return findings.filter((finding) => !expected.some((pattern) => pattern.test(finding)));
}

/** Asks until `probe` answers something true; fails with `what` after `limit` milliseconds. */
export async function eventually(what, probe, limit = PATIENCE) {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${limit} ms`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
