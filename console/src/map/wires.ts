// How the links of the map run: each leaves and arrives at a place of its own on the side of its service,
// so that links and their labels can be told apart.

import { byEnd, type Link } from "./columns";
import { NODE, type Spot } from "./layout";

export type Point = readonly [number, number];

export interface Wire extends Link {
  /** An SVG path. */
  path: string;
  /** Where its label goes. */
  x: number;
  y: number;
}

/** The most pixels between two links on the side of a service. */
const APART = 13;

/** Draws `links` between `spots`, those over several columns through their `passages`. */
export function drawWires(
  links: readonly Link[],
  spots: ReadonlyMap<string, Spot>,
  passages: ReadonlyMap<Link, Point[]>,
): { wires: Wire[]; lowest: number } {
  const forward = links.filter(({ from, to }) => x(from) < x(to));
  const leaves = ports(byEnd(forward, "from"), (link) => passages.get(link)?.[0]?.[1] ?? middle(link.to));
  const arrives = ports(byEnd(forward, "to"), (link) => passages.get(link)?.at(-1)?.[1] ?? middle(link.from));
  let lowest = 0;
  const wires = links.map((link): Wire => {
    const from = spots.get(link.from) ?? NOWHERE;
    const to = spots.get(link.to) ?? NOWHERE;
    if (from.x >= to.x) {
      const wire = around(from, to, floor(from, to));
      lowest = Math.max(lowest, wire.y);
      return { ...link, ...wire };
    }
    const begin: Point = [from.x + NODE.width, middle(link.from) + (leaves.get(link) ?? 0)];
    const end: Point = [to.x, middle(link.to) + (arrives.get(link) ?? 0)];
    return { ...link, ...across(begin, passages.get(link) ?? [], end) };
  });
  return { wires, lowest };

  function x(name: string): number {
    return spots.get(name)?.x ?? 0;
  }

  function middle(name: string): number {
    return (spots.get(name)?.y ?? 0) + NODE.height / 2;
  }

  /** Below all services between two, so that a link passes under them. */
  function floor(from: Spot, to: Spot): number {
    const between = [...spots.values()].filter((spot) => spot.x >= to.x && spot.x <= from.x);
    const near = between.filter((spot) => spot.y + NODE.height >= Math.min(from.y, to.y));
    return Math.max(...near.map((spot) => spot.y + NODE.height)) + 16;
  }
}

const NOWHERE: Spot = { name: "", x: 0, y: 0 };

/** The distance of each link from the middle of its service's side, in the order of their other ends. */
function ports(groups: Map<string, Link[]>, other: (link: Link) => number): Map<Link, number> {
  const places = new Map<Link, number>();
  for (const members of groups.values()) {
    const apart = Math.min(APART, (NODE.height - 16) / Math.max(1, members.length - 1));
    const sorted = members.toSorted((a, b) => other(a) - other(b));
    sorted.forEach((link, index) => places.set(link, (index - (sorted.length - 1) / 2) * apart));
  }
  return places;
}

/** From the right side of the caller, through the columns between, to the left side of whom it calls. */
function across(begin: Point, passages: Point[], end: Point): { path: string; x: number; y: number } {
  let last = begin;
  let path = `M${begin[0]} ${begin[1]}`;
  for (const [x, y] of passages) {
    path += `${curve(last, [x, y])}H${x + NODE.width}`;
    last = [x + NODE.width, y];
  }
  return { path: path + curve(last, end), x: end[0] - 26, y: end[1] + (last[1] - end[1]) * 0.06 };
}

function curve([x1, y1]: Point, [x2, y2]: Point): string {
  const bend = (x2 - x1) / 2;
  return `C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

/** To the same column or back: out of the caller's bottom, along `floor`, into the other's bottom. */
function around(from: Spot, to: Spot, floor: number): { path: string; x: number; y: number } {
  const [x1, y1] = [from.x + NODE.width * 0.62, from.y + NODE.height];
  const [x2, y2] = [to.x + NODE.width * 0.38, to.y + NODE.height];
  const turn = Math.min(40, Math.abs(x1 - x2) / 2) * Math.sign(x1 - x2);
  const path = `M${x1} ${y1}C${x1} ${floor} ${x1} ${floor} ${x1 - turn} ${floor}H${x2 + turn}C${x2} ${floor} ${x2} ${floor} ${x2} ${y2}`;
  return { path, x: (x1 + x2) / 2, y: floor };
}
