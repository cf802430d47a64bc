// The barrier of a saga's participant (docs/reference/participant.md): whatever the engine calls again,
// too late, or undoes without its having been done, has its effect once or not at all. Everything
// happens in one turn of the event loop and one commit, so calls are one after the other.

import { Problem } from "./service.mjs";

/**
 * A step. `effect(body)` answers `{status, body, rows}`: 2xx is done, 409 a business no; the rows and the
 * answer are one commit. What it throws is tried again by the engine.
 */
export const step = (db, effect) => (request) => attempt(db, request, "do", effect);

/** Its undo. `compensate(done, body)` is given what the step answered, and what the undo was sent. */
export const undo = (db, compensate) => (request) =>
  attempt(db, request, "undo", (body, done) => compensate(done, body));

/** A business no, with the code that the saga's failure has. */
export const refuse = (code, title) => ({ status: 409, body: { title, status: 409, code } });

function attempt(db, { body, headers }, op, run) {
  const { saga, name, round, epoch } = identify(headers, op);
  const id = (of) => `${saga}/${name}/${round}/${of}`;
  const stored = (of) => db.get("answers", id(of))?.answer;
  const seen = db.get("epochs", saga)?.epoch ?? 0;
  if (epoch < seen) throw new Problem(409, "superseded", "Another owner of the saga has called");
  const remember = ["epochs", { id: saga, epoch }];
  const known = stored(op);
  if (known || (op === "do" && stored("undo"))) {
    if (epoch > seen) db.commit(remember);
    if (!known) throw new Problem(409, "cancelled", "The step was undone before it came");
    return known;
  }
  const done = stored("do");
  const isDone = done !== undefined && done.status < 300;
  const nothing = { status: 200, body: { undone: false } };
  const { rows = [], ...answer } = op === "undo" && !isDone ? nothing : run(body, done?.body);
  db.commit(...rows, ["answers", { id: id(op), answer }], remember);
  return answer;
}

function identify(headers, op) {
  if (headers["x-user-id"]) throw new Problem(403, "forbidden", "A step is not for users");
  const { "ieum-saga-id": saga, "ieum-step": name, "ieum-epoch": epoch, "idempotency-key": key } = headers;
  const [round, undoing, ...rest] = key?.startsWith(`${saga}/${name}/`)
    ? key.slice(`${saga}/${name}/`.length).split("/")
    : [];
  const isWhole = (text) => /^\d+$/.test(text ?? "");
  const fits =
    isWhole(round) && isWhole(epoch) && rest.length === 0 && undoing === (op === "undo" ? "undo" : undefined);
  if (!fits) throw new Problem(400, "invalid-request", "The headers are not those of a saga's call");
  return { saga, name, round, epoch: Number(epoch) };
}
