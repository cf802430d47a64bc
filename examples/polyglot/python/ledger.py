"""The ledger: a SQLite file with the service's own tables and the barrier of docs/reference/participant.md.

One connection writes, one call at a time. `synchronous = FULL` over a write-ahead log: a commit is on the
disk when it returns. SQLite's own VFS also syncs the folder of a new file. The kernel lets go of the
lock of a process that dies, so nothing is stale after `kill -9`.
"""

import fcntl
import json
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

BARRIER = """
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
"""

KEPT_SECONDS = 30 * 24 * 3_600
"""Answers are kept for 30 days: far longer than a saga lives."""
AT_ONCE = 1_000
"""The most rows that are forgotten in one transaction."""


class LedgerFailed(Exception):
    """The file failed: nobody knows what is on the disk, and the process must end."""


@dataclass(frozen=True)
class Call:
    """One call of a step, as the saga's headers name it."""

    saga: str
    step: str
    round: int
    epoch: int
    op: str


@dataclass(frozen=True)
class Answer:
    """What a call is answered."""

    status: int
    body: dict

    def is_success(self):
        """True if the effect happened."""
        return 200 <= self.status < 300

    def is_final(self):
        """True if the same call may not be answered otherwise later."""
        return self.status not in (408, 425, 429) and self.status < 500


def problem(status, code, title, detail=None):
    """A problem detail (RFC 9457) as an answer."""
    body = {"title": title, "status": status, "code": code}
    return Answer(status, body | ({"detail": detail} if detail else {}))


class Ledger:
    """Opens `{folder}/{name}.db`; `tables` is the schema of the service's own tables."""

    def __init__(self, folder, name, tables):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._owner = own(folder / f"{name}.lock")
        self._lock = threading.Lock()
        # isolation_level=None: transactions begin and end where this file says so.
        self._db = sqlite3.connect(folder / f"{name}.db", isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        # What a start reads is made durable before it is believed: a sync may have failed before.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.executescript(f"BEGIN IMMEDIATE; {BARRIER} {tables} COMMIT;")

    def participate(self, call, effect):
        """Answers `call`, running `effect` only if this is the call's first time and it may happen.

        What the effect writes commits together with the answer, and both are on the disk when this
        returns.
        """
        return self._transaction(lambda db: self._answer(db, call, effect))

    def read(self, sql, values=()):
        """Every row that `sql` selects."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def forget(self):
        """Forgets answers that nobody can ask for any more."""
        before = int(time.time()) - KEPT_SECONDS
        while self._transaction(lambda db: forget_before(db, before)) == AT_ONCE:
            pass

    def close(self):
        """Closes the file and lets go of it."""
        with self._lock:
            self._db.close()
            self._owner.close()

    def _answer(self, db, call, effect):
        if not note_epoch(db, call):
            return problem(409, "superseded", "A later owner of the saga has taken over")
        undone, done = stored(db, call, "undo"), stored(db, call, "do")
        if call.op == "do":
            if undone:
                return problem(409, "cancelled", "The step was cancelled before this call")
            return done or run_effect(db, call, effect, Answer.is_final)
        if undone:
            return undone
        if not done or not done.is_success():
            nothing = Answer(200, {"undone": False})
            store(db, call, nothing)
            return nothing
        return run_effect(db, call, effect, Answer.is_success)

    def _transaction(self, work):
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    result = work(self._db)
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
                return result
            except sqlite3.Error as error:
                raise LedgerFailed(str(error)) from error


def run_effect(db, call, effect, is_kept):
    """An answer that is not kept leaves nothing behind, so that the call can be made again."""
    db.execute("SAVEPOINT effect")
    answer = effect(db)
    if is_kept(answer):
        store(db, call, answer)
    else:
        db.execute("ROLLBACK TO effect")
    db.execute("RELEASE effect")
    return answer


def note_epoch(db, call):
    """Remembers the highest epoch of the saga; false if the call's is lower."""
    sql = """INSERT INTO epochs (saga, epoch, seen_at) VALUES (?, ?, ?)
             ON CONFLICT (saga) DO UPDATE SET epoch = max(epoch, excluded.epoch), seen_at = excluded.seen_at
             RETURNING epoch"""
    rows = db.execute(sql, (call.saga, call.epoch, int(time.time()))).fetchall()
    return rows[0]["epoch"] == call.epoch


def stored(db, call, op):
    """What was answered before."""
    sql = "SELECT status, body FROM barrier WHERE saga = ? AND step = ? AND round = ? AND op = ?"
    row = db.execute(sql, (call.saga, call.step, call.round, op)).fetchone()
    return Answer(row["status"], json.loads(row["body"])) if row else None


def store(db, call, answer):
    """Keeps an answer, in the transaction of its effect."""
    sql = """INSERT INTO barrier (saga, step, round, op, status, body, recorded_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)"""
    body = json.dumps(answer.body, ensure_ascii=False)
    db.execute(sql, (call.saga, call.step, call.round, call.op, answer.status, body, int(time.time())))


def forget_before(db, before):
    """Deletes a bounded number of old rows; answers how many."""
    answers = f"""DELETE FROM barrier WHERE (saga, step, round, op) IN
                  (SELECT saga, step, round, op FROM barrier WHERE recorded_at < ? LIMIT {AT_ONCE})"""
    epochs = f"""DELETE FROM epochs WHERE saga IN (SELECT saga FROM epochs e WHERE seen_at < ? AND NOT EXISTS
                 (SELECT 1 FROM barrier b WHERE b.saga = e.saga) LIMIT {AT_ONCE})"""
    return max(db.execute(sql, (before,)).rowcount for sql in (answers, epochs))


def own(file):
    """Takes the lock that says whose ledger it is; the kernel lets go of it with the process."""
    lock = open(file, "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise SystemExit(f"error: {file} is locked: another process owns the ledger") from error
    return lock
