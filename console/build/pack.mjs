// After the build: a compressed twin of each file, the same for the same sources, and a file SOURCE
// that says which sources the build was made of, so that a test finds a forgotten build.

import { createHash } from "node:crypto";
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

/** What the build depends on, besides `src/` and `public/`. */
const CONFIGURATION = [
  "build/pack.mjs",
  "index.html",
  "package-lock.json",
  "package.json",
  "svelte.config.js",
  "tsconfig.json",
  "vite.config.ts",
];

const files = (await readdir(dist)).filter((name) => !name.endsWith(".gz") && name !== "SOURCE");
for (const name of files) {
  const whole = await readFile(join(dist, name));
  const packed = gzipSync(whole, { level: 9 });
  // The system's byte of the header, which differs between platforms; the time is not written.
  packed[9] = 255;
  await writeFile(join(dist, `${name}.gz`), packed);
}
await rm(join(dist, "SOURCE"), { force: true });
await writeFile(join(dist, "SOURCE"), `${await fingerprint()}\n`);

/** SHA-256 of `path NUL length NUL bytes` of each source, in the order of the paths' bytes. */
async function fingerprint() {
  const paths = [...CONFIGURATION, ...(await below("src")), ...(await below("public"))].sort();
  const hash = createHash("sha256");
  for (const path of paths) {
    const bytes = await readFile(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

async function below(folder) {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}
