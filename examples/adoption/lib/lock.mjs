// One run of a step at a time: a second one would empty the data of the first.

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** Takes the lock at `file` until this process ends; throws if one that lives has it. */
export function lock(file) {
  const own = `${file}.${process.pid}`;
  try {
    while (!take(file, own)) {
      const pid = holder(file);
      if (pid !== undefined && lives(pid)) {
        throw new Error(`this step runs already, as process ${pid}; if that is another program, remove ${file}`);
      }
      // Whoever had it was killed. Of several who see that, one moves it away.
      move(file, own);
    }
  } finally {
    rmSync(own, { force: true });
  }
  process.once("exit", () => rmSync(file, { force: true }));
}

/** A link appears with its content, so that nobody reads a lock without a process id. */
function take(file, own) {
  rmSync(own, { force: true });
  writeFileSync(own, String(process.pid));
  return unless("EEXIST", () => linkSync(own, file) ?? true) ?? false;
}

function holder(file) {
  return unless("ENOENT", () => Number(readFileSync(file, "utf8")) || undefined);
}

function move(file, own) {
  unless("ENOENT", () => renameSync(file, own));
  const pid = holder(own);
  // Another one was faster, and this is its lock already.
  if (pid !== undefined && pid !== process.pid && lives(pid)) unless("EEXIST", () => linkSync(own, file));
}

function lives(pid) {
  // One that may not be asked is somebody else's, and lives.
  try {
    return unless("ESRCH", () => process.kill(pid, 0)) ?? false;
  } catch (error) {
    if (error.code === "EPERM") return true;
    throw error;
  }
}

/** What `work` answers; nothing if it fails with this code. */
function unless(code, work) {
  try {
    return work();
  } catch (error) {
    if (error.code !== code) throw error;
    return undefined;
  }
}
