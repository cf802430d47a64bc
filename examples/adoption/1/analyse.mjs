// Where the monolith may be cut: its order flow is run, and what its modules do to tables and what
// becomes of their answers is written down. Prints JSON with --json.

import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MonolithicApp } from "./app.mjs";
import { Database } from "../lib/database.mjs";

/** Which module is running, however deep the call is. */
const running = new AsyncLocalStorage();
const trace = [];

/** The database, telling who reads and writes which table. */
function watched(db) {
  const note = (op, table) => trace.push({ module: running.getStore(), op, table });
  return {
    get: (table, id) => (note("reads", table), db.get(table, id)),
    all: (table) => (note("reads", table), db.all(table)),
    commit: (...rows) => (rows.forEach(([table]) => note("writes", table)), db.commit(...rows)),
  };
}

/** The module, telling when it is called, and remembering what it answered. */
function traced(name, module, answers) {
  const call =
    (method) =>
    async (...args) => {
      trace.push({ module: name, op: "called", method });
      const answer = await running.run(name, () => module[method](...args));
      answers.set(answer, name);
      return answer;
    };
  return new Proxy(module, { get: (of, key) => (typeof of[key] === "function" ? call(key) : of[key]) });
}

async function analyse(folder) {
  const app = new MonolithicApp(watched(new Database(join(folder, "monolith.jsonl"))));
  trace.length = 0;
  const answers = new Map();
  const modules = Object.keys(app);
  for (const name of modules) app[name] = traced(name, app[name], answers);
  const items = [{ productId: "p-1", quantity: 2, price: 10_000 }];
  const answer = await app.processOrder("u-1", { userId: "u-1", items });

  const calls = trace.filter(({ op }) => op === "called").map(({ module, method }) => `${module}.${method}`);
  const touching = (module, op) => [
    ...new Set(trace.filter((t) => t.module === module && t.op === op).map((t) => t.table)),
  ];
  const answered = new Set(Object.values(answer).map((part) => answers.get(part)));
  const tables = Object.fromEntries(
    modules.map((m) => [m, { reads: touching(m, "reads"), writes: touching(m, "writes") }]),
  );
  const writers = (table) => modules.filter((m) => tables[m].writes.includes(table));
  const owned = [...new Set(modules.flatMap((m) => tables[m].writes))];
  return {
    calls,
    tables,
    // Two writers of one table are one service, or one of them must ask the other.
    shared: Object.fromEntries(owned.map((t) => [t, writers(t)]).filter(([, by]) => by.length > 1)),
    boundaries: modules.map((module) => ({
      module,
      ownsAlone: tables[module].writes.filter((table) => writers(table).length === 1),
      mustAnswerInTime: answered.has(module),
      // Nobody waits for its answer: an event is enough.
      cutBy: answered.has(module) ? "call" : "event",
    })),
  };
}

function print({ calls, tables, shared, boundaries }) {
  console.log(`One order makes ${calls.length} calls, one after the other:\n  ${calls.join("\n  ")}\n`);
  for (const { module, ownsAlone, cutBy } of boundaries) {
    const { reads, writes } = tables[module];
    console.log(`${module}: reads [${reads}], writes [${writes}], owns alone [${ownsAlone}], cut by: ${cutBy}`);
  }
  console.log("\nTables with several writers, to be settled before the data can be split:");
  for (const [table, by] of Object.entries(shared)) console.log(`  ${table}: ${by.join(", ")}`);
}

const folder = mkdtempSync(join(tmpdir(), "analysis-"));
try {
  const found = await analyse(folder);
  if (process.argv.includes("--json")) console.log(JSON.stringify(found, null, 2));
  else print(found);
} finally {
  rmSync(folder, { recursive: true });
}
