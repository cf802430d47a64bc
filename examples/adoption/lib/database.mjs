// A database for one process: tables in memory, and a file that has each change on the disk before
// anybody hears of it. Node 18 brings no SQLite; this is the least that keeps the promise. The file only
// grows, and is read whole at the start: fine for an example, not for a shop.

import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export class Database {
  #file;
  #tables = new Map();

  constructor(path) {
    this.#file = openSync(path, "a+");
    const bytes = readFileSync(path);
    // A line that a crash left half written was never acknowledged.
    const whole = bytes.lastIndexOf("\n") + 1;
    ftruncateSync(this.#file, whole);
    for (const line of bytes.subarray(0, whole).toString().split("\n")) {
      if (line) this.#apply(JSON.parse(line));
    }
    // What was read is on the disk before it is believed, and so is the file's name.
    fsyncSync(this.#file);
    const folder = openSync(dirname(path), "r");
    fsyncSync(folder);
    closeSync(folder);
  }

  get(table, id) {
    return this.#tables.get(table)?.get(id);
  }

  all(table) {
    return [...(this.#tables.get(table)?.values() ?? [])];
  }

  /** Writes rows, `[table, row]` each, all of them or none: one line, one fsync. A row replaces that of its id. */
  commit(...rows) {
    try {
      writeSync(this.#file, `${JSON.stringify(rows)}\n`);
      fsyncSync(this.#file);
    } catch (error) {
      // Nobody knows what is on the disk now; a new start reads it.
      console.error(`error: ${error.message}`);
      process.exit(1);
    }
    this.#apply(rows);
  }

  #apply(rows) {
    for (const [table, row] of rows) {
      if (!this.#tables.has(table)) this.#tables.set(table, new Map());
      this.#tables.get(table).set(row.id, Object.freeze(row));
    }
  }
}
