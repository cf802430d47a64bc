// The ledger: a SQLite file with the service's own tables and the barrier of docs/reference/participant.md.
//
// What node-sqlite3-wasm promises (read in its VFS, version 0.8.60), and what follows for us:
// - A commit calls `fs.fsyncSync` on the file itself. It never syncs the folder of a new file, so a
//   journal that is made anew for each transaction could be missing after a power cut. Here the one
//   write-ahead log is made at the start, and the folder is synced once, before the first call.
// - It has no shared memory: a write-ahead log needs `locking_mode = EXCLUSIVE`.
// - Its lock is a folder beside the file, `ledger.db.lock`. It outlives a process that is killed, and
//   it would then lock everybody out. So who owns the ledger is decided by a socket, which the
//   kernel closes with its process; the owner takes a stale lock away.

import { createHash } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import sqlite from "node-sqlite3-wasm";

const BARRIER = `
  CREATE TABLE IF NOT EXISTS barrier (
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    round INTEGER NOT NULL,
    op TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (saga, step, round, op)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS barrier_by_time ON barrier (recorded_at);
  CREATE TABLE IF NOT EXISTS epochs (
    saga TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS epochs_by_time ON epochs (seen_at);
`;

/** Answers are kept for 30 days: far longer than a saga lives. */
const KEPT_MS = 30 * 24 * 3_600_000;
/** The most rows that are forgotten in one transaction. */
const AT_ONCE = 1_000;

/** What happened to the file; the process must end, because nobody knows what is on the disk. */
export class LedgerFailed extends Error {}

export class Ledger {
  #db;
  #owner;

  /** Opens the ledger `name` in `folder`; `tables` is the schema of the service's own tables. */
  static async open(folder, name, tables) {
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(fs.realpathSync(folder), `${name}.db`);
    const ledger = new Ledger();
    ledger.#owner = await own(file);
    fs.rmSync(`${file}.lock`, { recursive: true, force: true });
    ledger.#db = new sqlite.Database(file);
    ledger.#begin(tables);
    syncFolder(folder);
    return ledger;
  }

  #begin(tables) {
    const db = this.#db;
    db.exec("PRAGMA locking_mode = EXCLUSIVE");
    db.exec("PRAGMA journal_mode = WAL");
    db.exec("PRAGMA synchronous = FULL");
    // What a start reads is made durable before it is believed: a sync may have failed before.
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    db.exec(`BEGIN IMMEDIATE; ${BARRIER} ${tables} COMMIT`);
    // A write, so that the log file exists when its folder is synced.
    const version = Number(this.get("PRAGMA user_version").user_version);
    db.exec(`PRAGMA user_version = ${(version + 1) % 2 ** 31}`);
  }

  /** The first row that `sql` selects. */
  get(sql, values = []) {
    return this.#db.get(sql, values);
  }

  /** All rows that `sql` selects. */
  all(sql, values = []) {
    return this.#db.all(sql, values);
  }

  /** Runs a statement. */
  run(sql, values = []) {
    return this.#db.run(sql, values);
  }

  /**
   * Answers `call`, running `effect` only if this is the call's first time and it may happen. What
   * the effect writes commits together with the answer, and both are on the disk when this returns.
   */
  participate(call, effect) {
    return this.#transaction(() => {
      if (!this.#noteEpoch(call)) {
        return problem(409, "superseded", "A later owner of the saga has taken over");
      }
      const undone = this.#stored(call, "undo");
      const done = this.#stored(call, "do");
      if (call.op === "do") {
        if (undone) return problem(409, "cancelled", "The step was cancelled before this call");
        return done ?? this.#runEffect(call, effect, isFinal);
      }
      if (undone) return undone;
      if (!done || !isSuccess(done)) {
        const nothing = { status: 200, body: { undone: false } };
        this.#store(call, nothing);
        return nothing;
      }
      return this.#runEffect(call, effect, isSuccess);
    });
  }

  /** Forgets answers that nobody can ask for any more. */
  forget() {
    const before = Date.now() - KEPT_MS;
    let forgotten;
    do {
      forgotten = this.#transaction(() => {
        const answers = this.run(
          `DELETE FROM barrier WHERE (saga, step, round, op) IN
           (SELECT saga, step, round, op FROM barrier WHERE recorded_at < ? LIMIT ${AT_ONCE})`,
          [before],
        );
        const epochs = this.run(
          `DELETE FROM epochs WHERE saga IN (SELECT saga FROM epochs e WHERE seen_at < ? AND NOT EXISTS
           (SELECT 1 FROM barrier b WHERE b.saga = e.saga) LIMIT ${AT_ONCE})`,
          [before],
        );
        return Math.max(answers.changes, epochs.changes);
      });
    } while (forgotten === AT_ONCE);
  }

  /** Closes the file and lets go of it. */
  close() {
    this.#db.close();
    this.#owner.close();
  }

  #transaction(work) {
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      if (!(error instanceof sqlite.SQLite3Error)) {
        this.#db.exec("ROLLBACK");
        throw error;
      }
      throw new LedgerFailed(error.message, { cause: error });
    }
  }

  /** An answer that is not kept leaves nothing behind, so that the call can be made again. */
  #runEffect(call, effect, isKept) {
    this.#db.exec("SAVEPOINT effect");
    const answer = effect(this);
    if (isKept(answer)) this.#store(call, answer);
    else this.#db.exec("ROLLBACK TO effect");
    this.#db.exec("RELEASE effect");
    return answer;
  }

  /** Remembers the highest epoch of the saga; false if the call's is lower. */
  #noteEpoch(call) {
    const row = this.get(
      `INSERT INTO epochs (saga, epoch, seen_at) VALUES (?, ?, ?)
       ON CONFLICT (saga) DO UPDATE SET epoch = max(epoch, excluded.epoch), seen_at = excluded.seen_at
       RETURNING epoch`,
      [call.saga, call.epoch, Date.now()],
    );
    return Number(row.epoch) === call.epoch;
  }

  #stored(call, op) {
    const row = this.get(
      "SELECT status, body FROM barrier WHERE saga = ? AND step = ? AND round = ? AND op = ?",
      [call.saga, call.step, call.round, op],
    );
    return row && { status: Number(row.status), body: JSON.parse(row.body) };
  }

  #store(call, answer) {
    this.run(
      `INSERT INTO barrier (saga, step, round, op, status, body, recorded_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      [call.saga, call.step, call.round, call.op, answer.status, JSON.stringify(answer.body), Date.now()],
    );
  }
}

/** A problem detail (RFC 9457) as an answer. */
export function problem(status, code, title, detail) {
  return { status, body: { title, status, code, detail } };
}

const isSuccess = (answer) => answer.status >= 200 && answer.status < 300;
const isFinal = ({ status }) => ![408, 425, 429].includes(status) && status < 500;

/** Holds a socket that is named after the file: at most one process of this machine has it. */
async function own(file) {
  const name = `ieum-ledger-${createHash("sha256").update(file).digest("hex")}`;
  // Where it can be without a file, it ends with its process. Elsewhere its file may be stale, and
  // two processes that start in the same instant after a kill are not told apart.
  const fileless = hasFilelessSockets();
  const address = fileless ? `\0${name}` : path.join(os.tmpdir(), name.slice(0, 40));
  const listen = () =>
    new Promise((resolve, reject) => {
      const server = net.createServer((socket) => socket.destroy());
      server.once("error", reject);
      server.listen(address, () => resolve(server.unref()));
    });
  try {
    return await listen();
  } catch (error) {
    const taken = fileless || (await answers(address));
    if (error.code !== "EADDRINUSE" || taken) {
      throw new Error(`${file} belongs to another process`, { cause: error });
    }
    fs.rmSync(address, { force: true });
    return await listen();
  }
}

/** Linux has them; a libuv before 1.46 (Node 18) takes all their names for the same one. */
function hasFilelessSockets() {
  const [major, minor] = process.versions.uv.split(".").map(Number);
  return process.platform === "linux" && (major > 1 || minor >= 46);
}

function answers(address) {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
  });
}

/** Makes the names of new files in the folder durable. */
function syncFolder(folder) {
  const handle = fs.openSync(folder, "r");
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}
