// Tells of which sources a build is made, and which files it made of them: compared with `dist/SOURCE`,
// that finds a forgotten build, and one of which only a part was committed.
//
// As a program it prints what `dist/SOURCE` should say.

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

/** A line for the sources and one for the files of the build. */
export async function fingerprint() {
  const below = await Promise.all(FOLDERS.map(filesBelow));
  const built = (await filesBelow("dist")).filter((path) => path !== "dist/SOURCE");
  const sources = await hashOf([...CONFIGURATION, ...below.flat()]);
  return `sources ${sources}\nfiles ${await hashOf(built)}\n`;
}

/** SHA-256 of each file's path, length and bytes, in the order of the paths. */
async function hashOf(paths) {
  const hash = createHash("sha256");
  for (const path of paths.sort()) {
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

if (process.argv[1] === import.meta.filename) process.stdout.write(await fingerprint());
