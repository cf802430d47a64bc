// Where services stand on the map: in columns, a caller left of whom it calls, the gateway first. Pure and
// the same for the same graph, so that the map stands still while its figures move.

import { columnsOf, type Link } from "./columns";
import { inOrder, type Slot } from "./order";
import { drawWires, type Point, type Wire } from "./wires";

export type { Link, Wire };

export interface Spot {
  name: string;
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
/** The height of a link that passes a column between services. */
const PASSAGE = 6;
const MARGIN = 20;

let latest: { graph: string; layout: Layout } | undefined;

/** The layout of `graph`: the JSON of its names, those that begin first, and of its links. */
export function layoutOf(graph: string): Layout {
  // The page is opened again and again, and the graph is the same.
  if (latest?.graph !== graph) {
    const [names, links] = JSON.parse(graph) as [string[], Link[]];
    latest = { graph, layout: layOut(names, links) };
  }
  return latest.layout;
}

function layOut(names: readonly string[], links: readonly Link[]): Layout {
  const known = new Set(names);
  const inner = links.filter(({ from, to }) => known.has(from) && known.has(to) && from !== to);
  const columns = inOrder(columnsOf(names, inner), inner);
  const heights = columns.map((column) => column.reduce((sum, slot) => sum + heightOf(slot) + GAP.y, -GAP.y));
  const height = Math.max(NODE.height, ...heights);
  const spots = new Map<string, Spot>();
  const passages = new Map<Link, Point[]>();
  columns.forEach((column, index) => {
    const x = MARGIN + index * (NODE.width + GAP.x);
    let y = MARGIN + (height - (heights[index] ?? 0)) / 2;
    for (const slot of column) {
      if (slot.kind === "service") spots.set(slot.name, { name: slot.name, x, y });
      else passages.set(slot.link, [...(passages.get(slot.link) ?? []), [x, y + PASSAGE / 2]]);
      y += heightOf(slot) + GAP.y;
    }
  });
  return {
    spots: [...spots.values()],
    wires: drawWires(inner, spots, passages),
    // Behind the last column links of its own go out and in.
    width: 2 * MARGIN + columns.length * (NODE.width + GAP.x) - GAP.x / 2,
    height: height + 2 * MARGIN,
  };
}

function heightOf(slot: Slot): number {
  return slot.kind === "service" ? NODE.height : PASSAGE;
}
