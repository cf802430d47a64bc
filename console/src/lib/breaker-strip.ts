// The last minutes of a breaker as pieces of time, each in one state.

import type { Breaker, BreakerState } from "../api/types";

export interface Stretch {
  state: BreakerState;
  /** Shares of the shown time, 0 to 1. */
  from: number;
  to: number;
}

/** The states of `breaker` in the `span` milliseconds before `now`, the earliest first. */
export function stretches(breaker: Breaker, now: number, span: number): Stretch[] {
  const begin = now - span;
  const share = (at: number): number => Math.max(0, Math.min(1, (at - begin) / span));
  let until = now;
  const result: Stretch[] = [];
  for (const { at, from, to } of breaker.changes) {
    const changed = new Date(at).getTime();
    if (changed < until) result.push({ state: to, from: share(changed), to: share(until) });
    until = Math.min(until, changed);
    if (until <= begin) break;
    if (at === breaker.changes.at(-1)?.at) result.push({ state: from, from: 0, to: share(until) });
  }
  if (breaker.changes.length === 0) result.push({ state: breaker.state, from: 0, to: 1 });
  return result.filter((piece) => piece.to > piece.from).toReversed();
}
