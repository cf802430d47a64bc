// Dead letters by what an operator can act on: a key of a group, with all that waits behind its first.

import type { DeadLetter } from "../api/types";

export interface Waiting {
  id: string;
  first: DeadLetter;
  letters: DeadLetter[];
}

/** Groups `letters`, which come by topic, group and position. */
export function byKey(letters: readonly DeadLetter[]): Waiting[] {
  const found = new Map<string, Waiting>();
  for (const letter of letters) {
    const id = JSON.stringify([letter.topic, letter.group, letter.key]);
    const waiting = found.get(id);
    if (waiting) waiting.letters.push(letter);
    else found.set(id, { id, first: letter, letters: [letter] });
  }
  return [...found.values()];
}
