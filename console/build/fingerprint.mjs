// Tells of which sources a build is made: compared with `dist/SOURCE`, it finds a forgotten build.
//
// As a program it prints the fingerprint of the present sources.

import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";

const root = join(import.meta.dirname, "..");

/** What the build depends on, besides the folders. */
const CONFIGURATION = [
  "index.html",
  "package-lock.json",
  "package.json",
  "svelte.config.js",
  "tsconfig.json",
  "vite.config.ts",
];

const FOLDERS = ["build", "public", "src"];

/** SHA-256 of each source's path, length and bytes, in the order of the paths. */
export async function fingerprint() {
  const below = await Promise.all(FOLDERS.map(filesBelow));
  const hash = createHash("sha256");
  for (const path of [...CONFIGURATION, ...below.flat()].sort()) {
    const bytes = await readFile(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

async function filesBelow(folder) {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((file) => relative(root, join(file.parentPath, file.name)).replaceAll(sep, "/"));
}

if (process.argv[1] === import.meta.filename) console.log(await fingerprint());
