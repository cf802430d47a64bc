// After the build: a compressed twin of each file, the same for the same sources, and the file SOURCE.

import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { fingerprint } from "./fingerprint.mjs";

const dist = join(import.meta.dirname, "..", "dist");
/** Where a gzip header names the system that made it, and what says "unknown" there (RFC 1952). */
const SYSTEM = { at: 9, unknown: 255 };

for (const name of await readdir(dist)) {
  if (name.endsWith(".gz") || name === "SOURCE") continue;
  const packed = gzipSync(await readFile(join(dist, name)), { level: 9 });
  packed[SYSTEM.at] = SYSTEM.unknown;
  await writeFile(join(dist, `${name}.gz`), packed);
}
await writeFile(join(dist, "SOURCE"), await fingerprint());
