/** What the browser keeps for the page. Where it may keep nothing, the page forgets. */

const PREFIX = "ieum-store.";

export function recall<T>(storage: Storage, key: string): T | null {
  try {
    const text = storage.getItem(PREFIX + key);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
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
