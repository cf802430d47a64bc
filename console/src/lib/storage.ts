// What the browser keeps for the console. Where it may keep nothing (its person forbade it, and then
// already the look at a storage is an exception), the console forgets, and works.

/** For this tab, or for all of them. */
export type Kind = "session" | "local";

export function recall(kind: Kind, key: string): string | undefined {
  try {
    return storage(kind).getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps `text`; `undefined` forgets it. */
export function remember(kind: Kind, key: string, text: string | undefined): void {
  try {
    if (text === undefined) storage(kind).removeItem(key);
    else storage(kind).setItem(key, text);
  } catch {
    // Full or forbidden: the next page does not know it.
  }
}

function storage(kind: Kind): Storage {
  return kind === "local" ? localStorage : sessionStorage;
}
