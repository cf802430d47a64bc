// Names, ids and times as they stand in a made-up world.

/** What somebody may call a service to attack who looks at it. */
export const HOSTILE = "<img src=x onerror=window.attacked=1>";

/** A time as the API writes it. */
export const iso = (at) => new Date(at).toISOString();
/** The same with microseconds. */
export const micro = (at) =>
  new Date(at).toISOString().replace("Z", `${String(Math.round((at % 1) * 1_000)).padStart(3, "0")}Z`);
/** The id of this number. */
export const uuid = (n) => `01a20063-4f70-7000-8000-${n.toString(16).padStart(12, "0")}`;
/** The trace of a saga. */
export const traceId = (id) => id.replaceAll("-", "");
