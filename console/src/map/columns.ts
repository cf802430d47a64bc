// Which column each service stands in: behind all that call it, as far as calls go in no circle.

export interface Link {
  from: string;
  to: string;
}

/** A layer with more services goes on in a second column. */
const ROWS = 8;
/** Chains of events are long; what lies deeper stands in the last layer together. */
const DEEPEST = 3;

/** The services of each column: callers first. */
export function columnsOf(names: readonly string[], links: readonly Link[]): string[][] {
  const callers = byEnd(withoutCircles(names, links), "to");
  const depths = new Map<string, number>();
  const depthOf = (name: string): number => {
    const known = depths.get(name);
    if (known !== undefined) return known;
    const depth = Math.max(0, ...(callers.get(name) ?? []).map(({ from }) => depthOf(from) + 1));
    depths.set(name, Math.min(depth, DEEPEST));
    return Math.min(depth, DEEPEST);
  };
  const linked = new Set(links.flatMap(({ from, to }) => [from, to]));
  const layers: string[][] = [];
  const alone: string[] = [];
  for (const name of names) {
    if (linked.has(name)) (layers[depthOf(name)] ??= []).push(name);
    else alone.push(name);
  }
  return withAlone(Array.from(layers, (layer) => layer ?? []).flatMap(wrapped), alone);
}

/** Puts those without links where there is room. */
function withAlone(columns: string[][], alone: string[]): string[][] {
  const result = columns.map((column) => [...column]);
  const left: string[] = [];
  for (const name of alone) {
    const shortest = result.toSorted((a, b) => a.length - b.length)[0];
    if (shortest && shortest.length < ROWS) shortest.push(name);
    else left.push(name);
  }
  return [...result, ...wrapped(left)];
}

/** Links by one of their ends. */
export function byEnd<L extends Link>(links: readonly L[], end: "from" | "to"): Map<string, L[]> {
  const groups = new Map<string, L[]>();
  for (const link of links) {
    const members = groups.get(link[end]);
    if (members) members.push(link);
    else groups.set(link[end], [link]);
  }
  return groups;
}

/** The links without those that lead back to a service from which the search came. */
function withoutCircles(names: readonly string[], links: readonly Link[]): Link[] {
  const called = byEnd(links, "from");
  const isCalled = new Set(links.map(({ to }) => to));
  const state = new Map<string, "open" | "done">();
  const forward: Link[] = [];
  const visit = (name: string): void => {
    state.set(name, "open");
    for (const link of called.get(name) ?? []) {
      if (state.get(link.to) === "open") continue;
      forward.push(link);
      if (!state.has(link.to)) visit(link.to);
    }
    state.set(name, "done");
  };
  const first = names.slice(0, 1);
  const begins = names.filter((name) => !isCalled.has(name));
  for (const name of [...first, ...begins, ...names]) {
    if (!state.has(name)) visit(name);
  }
  return forward;
}

function wrapped(layer: string[]): string[][] {
  const count = Math.ceil(layer.length / ROWS);
  const rows = Math.ceil(layer.length / Math.max(1, count));
  return Array.from({ length: count }, (_, index) => layer.slice(index * rows, (index + 1) * rows));
}
