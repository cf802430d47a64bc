/** What the browser keeps for the page. Where it may keep nothing, the page forgets. */

const PREFIX = "ieum-store.";

/** For this tab, or for all tabs until somebody empties it. */
export type Kind = "session" | "local";

/** What was kept, if it is what `is` says: another version may have written it, or a person. */
export function recall<T>(
  kind: Kind,
  key: string,
  is: (value: unknown) => value is T,
): T | null {
  try {
    const value: unknown = JSON.parse(storageOf(kind).getItem(PREFIX + key) ?? "null");
    return is(value) ? value : null;
  } catch {
    return null;
  }
}

/** Whether `value` is an object whose members are of these types. */
export function has(value: unknown, members: Record<string, "string" | "number">): boolean {
  if (typeof value !== "object" || value === null) return false;
  const given = value as Record<string, unknown>;
  return Object.entries(members).every(([name, type]) => typeof given[name] === type);
}

/** Keeps `value`; `null` forgets it. */
export function remember(kind: Kind, key: string, value: unknown): void {
  try {
    if (value === null) storageOf(kind).removeItem(PREFIX + key);
    else storageOf(kind).setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // A full or forbidden storage is no reason not to shop.
  }
}

/** Calls `hear` when another tab keeps something else under `key`. */
export function onKept(key: string, hear: () => void): void {
  addEventListener("storage", (event) => {
    // No key: everything was forgotten.
    if (event.key === null || event.key === PREFIX + key) hear();
  });
}

/** Where a browser forbids storages, already the look at one is an exception. */
function storageOf(kind: Kind): Storage {
  return kind === "local" ? localStorage : sessionStorage;
}
