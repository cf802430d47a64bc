/** What the browser keeps for the page. Where it may keep nothing, the page forgets. */

const PREFIX = "ieum-store.";

/** What was kept, if it is what `is` says: another version may have written it, or a person. */
export function recall<T>(
  storage: Storage,
  key: string,
  is: (value: unknown) => value is T,
): T | null {
  try {
    const value: unknown = JSON.parse(storage.getItem(PREFIX + key) ?? "null");
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
export function remember(storage: Storage, key: string, value: unknown): void {
  try {
    if (value === null) storage.removeItem(PREFIX + key);
    else storage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // A full or forbidden storage is no reason not to shop.
  }
}
