// The audit of GraphQL over HTTP, as its authors wrote it: audit.mjs URL
// Ends with a line of JSON: how many requirements of each level there are, and which are not met.
import { auditServer } from "graphql-http";

const [url] = process.argv.slice(2);
const results = await auditServer({ url });
const levels = {};
const unmet = [];
for (const { name, status, reason } of results) {
  // A requirement's name begins with its level: MUST, SHOULD, MAY.
  const level = name.split(" ")[0];
  levels[level] ??= { met: 0, unmet: 0 };
  levels[level][status === "ok" ? "met" : "unmet"] += 1;
  if (status !== "ok") unmet.push({ name, reason });
}
console.log(JSON.stringify({ levels, unmet }));
