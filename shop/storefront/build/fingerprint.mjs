// What the committed build was made of: prints the fingerprint of the sources, or with `--write` keeps
// it beside the build, so that a forgotten build is found.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const SOURCES = [
  "build",
  "index.html",
  "package-lock.json",
  "public",
  "src",
  "svelte.config.js",
  "tsconfig.json",
  "vite.config.ts",
];

/** The files at or below a path, by their paths from the root, in one order everywhere. */
function filesOf(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  const names = readdirSync(join(root, path)).sort();
  return names.flatMap((name) => filesOf(`${path}/${name}`));
}

const hash = createHash("sha256");
for (const path of SOURCES.flatMap(filesOf)) {
  const content = readFileSync(join(root, path));
  hash.update(`${path} ${content.length}\n`).update(content);
}
const fingerprint = `${hash.digest("hex")}\n`;
if (process.argv.includes("--write")) writeFileSync(join(root, "dist/SOURCE"), fingerprint);
else process.stdout.write(fingerprint);
