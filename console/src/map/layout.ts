// Where services stand on the map: in layers, a caller left of whom it calls, the gateway first. Pure and
// the same for the same graph, so that the map stands still while its figures move.

export interface Link {
  from: string;
  to: string;
}

export interface Spot {
  name: string;
  x: number;
  y: number;
}

export interface Wire extends Link {
  /** An SVG path. */
  path: string;
  /** Where its label goes. */
  x: number;
  y: number;
}

export interface Layout {
  spots: Spot[];
  wires: Wire[];
  width: number;
  height: number;
}

export const NODE = { width: 168, height: 54 };

const GAP = { x: 92, y: 20 };
/** A layer with more services goes on in a second column. */
const ROWS = 7;
const MARGIN = 20;
const SWEEPS = 6;

/** Lays out `names` (the first one begins) with the links among them. */
export function layOut(names: readonly string[], links: readonly Link[]): Layout {
  const known = new Set(names);
  const inner = links.filter(({ from, to }) => known.has(from) && known.has(to) && from !== to);
  const columns = intoColumns(ordered(layers(names, inner), inner));
  const tallest = Math.max(1, ...columns.map((column) => column.length));
  const height = 2 * MARGIN + tallest * (NODE.height + GAP.y) - GAP.y;
  const spots = new Map<string, Spot>();
  columns.forEach((column, index) => {
    const taken = column.length * (NODE.height + GAP.y) - GAP.y;
    column.forEach((name, row) => {
      const y = (height - taken) / 2 + row * (NODE.height + GAP.y);
      spots.set(name, { name, x: MARGIN + index * (NODE.width + GAP.x), y });
    });
  });
  return {
    spots: [...spots.values()],
    wires: inner.flatMap((link) => wire(link, spots)),
    width: 2 * MARGIN + columns.length * (NODE.width + GAP.x) - GAP.x,
    height,
  };
}

/** The longest way to each service decides its layer; a link that closes a circle does not count. */
function layers(names: readonly string[], links: readonly Link[]): string[][] {
  const forward = withoutCircles(names, links);
  const depth = new Map<string, number>();
  const callers = group(forward, "to");
  const depthOf = (name: string): number => {
    const known = depth.get(name);
    if (known !== undefined) return known;
    const above = (callers.get(name) ?? []).map(({ from }) => depthOf(from) + 1);
    const own = Math.max(0, ...above);
    depth.set(name, own);
    return own;
  };
  const result: string[][] = [];
  for (const name of names) (result[depthOf(name)] ??= []).push(name);
  return result.map((layer) => layer ?? []);
}

/** The links without those that lead back to a service from which the search came. */
function withoutCircles(names: readonly string[], links: readonly Link[]): Link[] {
  const called = group(links, "from");
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
  const [first, ...others] = names;
  const begins = others.filter((name) => !isCalled.has(name));
  for (const name of first === undefined ? [] : [first, ...begins, ...others]) {
    if (!state.has(name)) visit(name);
  }
  return forward;
}

/** Moves each service towards the middle of its neighbours, so that few links cross. */
function ordered(layers: string[][], links: readonly Link[]): string[][] {
  const callers = group(links, "to");
  const called = group(links, "from");
  let result = layers;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const place = new Map<string, number>();
    for (const layer of result) {
      layer.forEach((name, row) => place.set(name, (row + 0.5) / layer.length));
    }
    const pull = (name: string): number => {
      const near =
        sweep % 2 === 0
          ? (callers.get(name) ?? []).map(({ from }) => from)
          : (called.get(name) ?? []).map(({ to }) => to);
      const places = near.map((other) => place.get(other) ?? 0.5);
      if (places.length === 0) return place.get(name) ?? 0.5;
      return places.reduce((sum, one) => sum + one, 0) / places.length;
    };
    result = result.map((layer) => layer.toSorted((a, b) => pull(a) - pull(b) || compare(a, b)));
  }
  return result;
}

function intoColumns(layers: string[][]): string[][] {
  return layers.flatMap((layer) => {
    const count = Math.ceil(layer.length / ROWS);
    const rows = Math.ceil(layer.length / Math.max(1, count));
    return Array.from({ length: count }, (_, index) => layer.slice(index * rows, (index + 1) * rows));
  });
}

function wire(link: Link, spots: Map<string, Spot>): Wire[] {
  const from = spots.get(link.from);
  const to = spots.get(link.to);
  if (!from || !to) return [];
  return [{ ...link, ...(from.x < to.x ? across(from, to) : around(from, to)) }];
}

/** From the right side of the caller to the left side of whom it calls. */
function across(from: Spot, to: Spot): { path: string; x: number; y: number } {
  const [x1, y1] = [from.x + NODE.width, from.y + NODE.height / 2];
  const [x2, y2] = [to.x, to.y + NODE.height / 2];
  const bend = Math.max(36, Math.min(110, (x2 - x1) / 2));
  const path = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  // Nearer to its end, where links of one caller have parted.
  const near = Math.min(1, 1 - 34 / Math.max(68, x2 - x1));
  return { path, ...onCurve(near, [x1, y1], [x1 + bend, y1], [x2 - bend, y2], [x2, y2]) };
}

/** To the same column or back: from below the caller to below whom it calls. */
function around(from: Spot, to: Spot): { path: string; x: number; y: number } {
  const [x1, y1] = [from.x + NODE.width * 0.62, from.y + NODE.height];
  const [x2, y2] = [to.x + NODE.width * 0.38, to.y + NODE.height];
  const drop = 16 + Math.min(40, Math.abs(x1 - x2) / 12);
  const low = Math.max(y1, y2) + drop;
  const path = `M${x1} ${y1}C${x1} ${low} ${x2} ${low} ${x2} ${y2}`;
  return { path, ...onCurve(0.5, [x1, y1], [x1, low], [x2, low], [x2, y2]) };
}

type Point = readonly [number, number];

function onCurve(t: number, a: Point, b: Point, c: Point, d: Point): { x: number; y: number } {
  const u = 1 - t;
  const weigh = (axis: 0 | 1): number =>
    u ** 3 * a[axis] + 3 * u * u * t * b[axis] + 3 * u * t * t * c[axis] + t ** 3 * d[axis];
  return { x: weigh(0), y: weigh(1) };
}

function group(links: readonly Link[], end: "from" | "to"): Map<string, Link[]> {
  const groups = new Map<string, Link[]>();
  for (const link of links) {
    const members = groups.get(link[end]);
    if (members) members.push(link);
    else groups.set(link[end], [link]);
  }
  return groups;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}
