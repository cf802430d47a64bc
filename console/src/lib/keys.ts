// The keys of the whole console. While somebody types, or a dialog is open, they mean nothing.

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
    if (event.ctrlKey || event.metaKey || event.altKey || isTaken(event.target)) return;
    const isChord = event.timeStamp < chordEnds;
    chordEnds = 0;
    const place = isChord && PLACES.find(({ letter }) => letter === event.key);
    if (place) actions.go(place.page);
    else if (event.key === "g") chordEnds = event.timeStamp + CHORD;
    else if (event.key === "/") actions.search();
    else if (event.key === "?") actions.help();
    else return;
    event.preventDefault();
  }

  window.addEventListener("keydown", onKey);
  return () => window.removeEventListener("keydown", onKey);
}

function isTaken(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]")) return true;
  return target instanceof HTMLElement && target.matches("input, select, textarea, [contenteditable]");
}
