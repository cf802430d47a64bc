// The order within columns: each service near the middle of its neighbours, so that few links cross. A
// link over several columns has a slot in each between, so that it passes services and not under them.

import { byEnd, type Link } from "./columns";
import { spansOf } from "./wires";

export type Slot = { kind: "service"; name: string } | { kind: "passage"; name: string; link: Link };

const SWEEPS = 8;

/** Puts the services of `columns` and the passages of `links` in order. */
export function inOrder(columns: readonly string[][], links: readonly Link[]): Slot[][] {
  const column = new Map<string, number>();
  columns.forEach((names, index) => names.forEach((name) => column.set(name, index)));
  const slots: Slot[][] = columns.map((names) => names.map((name) => ({ kind: "service", name })));
  const pieces: Link[] = [];
  const columnOf = (name: string): number => column.get(name) ?? 0;
  for (const { link, from, to } of spansOf(links, columnOf)) {
    let last = from;
    for (let between = columnOf(from) + 1; between < columnOf(to); between += 1) {
      const name = `${link.from}\n${link.to}\n${between}`;
      slots[between]?.push({ kind: "passage", name, link });
      pieces.push({ from: last, to: name });
      last = name;
    }
    pieces.push({ from: last, to });
  }
  return settled(slots, pieces);
}

function settled(slots: Slot[][], pieces: readonly Link[]): Slot[][] {
  const callers = byEnd(pieces, "to");
  const called = byEnd(pieces, "from");
  let result = slots;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const place = new Map<string, number>();
    const note = (column: Slot[]): void =>
      column.forEach(({ name }, row) => place.set(name, (row + 0.5) / column.length));
    result.forEach(note);
    const isForward = sweep % 2 === 0;
    const pull = ({ name }: Slot): number => {
      const near = isForward
        ? (callers.get(name) ?? []).map(({ from }) => from)
        : (called.get(name) ?? []).map(({ to }) => to);
      if (near.length === 0) return place.get(name) ?? 0.5;
      return near.reduce((sum, other) => sum + (place.get(other) ?? 0.5), 0) / near.length;
    };
    const next = [...result];
    for (let step = 0; step < next.length; step += 1) {
      const index = isForward ? step : next.length - 1 - step;
      const column = next[index] ?? [];
      const pulled = column.map((slot) => ({ slot, by: pull(slot) }));
      pulled.sort((a, b) => a.by - b.by || (a.slot.name < b.slot.name ? -1 : 1));
      next[index] = pulled.map(({ slot }) => slot);
      note(next[index] ?? []);
    }
    result = next;
  }
  return result;
}
