// The keys of the whole console. While somebody types, or a dialog is open, or they are switched off (who
// speaks to a computer, or trembles, hits keys that nobody meant), they mean nothing.

import { settings } from "../state/settings.svelte";
import { PLACES } from "./places";

export interface KeyActions {
  search: () => void;
  help: () => void;
  go: (page: string) => void;
}

/** How long after `g` a letter still means a page, in milliseconds. */
const CHORD = 1_200;

/** Listens until the answer is called. */
export function listenToKeys(actions: KeyActions): () => void {
  let chordEnds = 0;

  function onKey(event: KeyboardEvent): void {
    if (!settings.hasShortcuts || event.ctrlKey || event.metaKey || event.altKey || isTaken(event.target)) return;
    const key = latin(event);
    const isChord = event.timeStamp < chordEnds;
    chordEnds = 0;
    const place = isChord && PLACES.find(({ letter }) => letter === key);
    if (place) actions.go(place.page);
    else if (key === "g") chordEnds = event.timeStamp + CHORD;
    else if (key === "/") actions.search();
    else if (key === "?") actions.help();
    else return;
    event.preventDefault();
  }

  window.addEventListener("keydown", onKey);
  return () => window.removeEventListener("keydown", onKey);
}

/** The key as a Latin keyboard has it: under a Hangul one, `g` writes `ㅎ`, or is taken for composing. */
function latin({ key, code, shiftKey }: KeyboardEvent): string {
  if (/^[\x20-\x7e]$/.test(key)) return key;
  if (code === "Slash") return shiftKey ? "?" : "/";
  return /^Key([A-Z])$/.exec(code)?.[1]?.toLowerCase() ?? key;
}

function isTaken(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]")) return true;
  return target instanceof HTMLElement && target.matches("input, select, textarea, [contenteditable]");
}
