// How the links of the map run: each leaves and arrives at a place of its own on the side of its service,
// so that links and their labels can be told apart.

import { byEnd, type Link } from "./columns";
import { NODE, type Spot } from "./layout";

export type Point = readonly [number, number];

export interface Wire extends Link {
  /** An SVG path, from left to right whoever calls. */
  path: string;
  /** True if the one who is called stands at the path's beginning. */
  isReversed: boolean;
  /** Where its label goes. */
  x: number;
  y: number;
}

/** A link between two columns, by where its ends stand and not by who calls. */
export interface Span extends Link {
  link: Link;
  isReversed: boolean;
}

/** The most pixels between two links on the side of a service. */
const APART = 13;
/** How far a link within a column leaves it. */
const BULGE = 46;

/** `links` with their left ends first; those within one column are not among them. */
export function spansOf(links: readonly Link[], columnOf: (name: string) => number): Span[] {
  return links.flatMap((link): Span[] => {
    const [from, to] = [columnOf(link.from), columnOf(link.to)];
    if (from === to) return [];
    const isReversed = from > to;
    return [
      { link, isReversed, from: isReversed ? link.to : link.from, to: isReversed ? link.from : link.to },
    ];
  });
}

/** Draws `links` between `spots`, those over several columns through their `passages`. */
export function drawWires(
  links: readonly Link[],
  spots: ReadonlyMap<string, Spot>,
  passages: ReadonlyMap<Link, Point[]>,
): Wire[] {
  const spot = (name: string): Spot => spots.get(name) ?? { name, x: 0, y: 0 };
  const middle = (name: string): number => spot(name).y + NODE.height / 2;
  const spans = spansOf(links, (name) => spot(name).x);
  const leaves = ports(byEnd(spans, "from"), ({ link, to }) => passages.get(link)?.[0]?.[1] ?? middle(to));
  const arrives = ports(
    byEnd(spans, "to"),
    ({ link, from }) => passages.get(link)?.at(-1)?.[1] ?? middle(from),
  );
  const across = spans.map((span): Wire => {
    const begin: Point = [spot(span.from).x + NODE.width, middle(span.from) + (leaves.get(span) ?? 0)];
    const end: Point = [spot(span.to).x, middle(span.to) + (arrives.get(span) ?? 0)];
    const { path, last } = through(begin, passages.get(span.link) ?? [], end);
    const label = span.isReversed
      ? { x: begin[0] + 26, y: begin[1] }
      : { x: end[0] - 26, y: end[1] + (last[1] - end[1]) * 0.06 };
    return { ...span.link, isReversed: span.isReversed, path, ...label };
  });
  const within = links.filter(({ from, to }) => spot(from).x === spot(to).x);
  return [
    ...across,
    ...within.map((link): Wire => ({
      ...link,
      isReversed: false,
      ...beside(spot(link.from), spot(link.to)),
    })),
  ];
}

/** The distance of each span from the middle of its service's side, in the order of their other ends. */
function ports(groups: Map<string, Span[]>, other: (span: Span) => number): Map<Span, number> {
  const places = new Map<Span, number>();
  for (const members of groups.values()) {
    const apart = Math.min(APART, (NODE.height - 14) / Math.max(1, members.length - 1));
    const sorted = members.toSorted((a, b) => other(a) - other(b));
    sorted.forEach((span, index) => places.set(span, (index - (sorted.length - 1) / 2) * apart));
  }
  return places;
}

/** From `begin`, through the columns between, to `end`; `last` is where its last piece begins. */
function through(begin: Point, passages: Point[], end: Point): { path: string; last: Point } {
  let last = begin;
  let path = `M${begin[0]} ${begin[1]}`;
  for (const [x, y] of passages) {
    path += `${curve(last, [x, y])}H${x + NODE.width}`;
    last = [x + NODE.width, y];
  }
  return { path: path + curve(last, end), last };
}

function curve([x1, y1]: Point, [x2, y2]: Point): string {
  const bend = (x2 - x1) / 2;
  return `C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

/** Between two of one column: out on the right and in again. */
function beside(from: Spot, to: Spot): { path: string; x: number; y: number } {
  const x = from.x + NODE.width;
  // Not from the middle, where links to other columns leave.
  const lean = from.y < to.y ? 1 : -1;
  const [y1, y2] = [from.y + NODE.height / 2 + 14 * lean, to.y + NODE.height / 2 - 14 * lean];
  const out = Math.min(BULGE * 1.6, BULGE * 0.5 + Math.abs(y2 - y1) / 8);
  return {
    path: `M${x} ${y1}C${x + out} ${y1} ${x + out} ${y2} ${x} ${y2}`,
    x: x + out * 0.75,
    y: (y1 + y2) / 2,
  };
}
