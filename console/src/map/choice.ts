// Which services the map shows when there are too many to be read: those in trouble, then the busiest,
// each with the callers that lead to it.

import type { Edge, ServiceLoad } from "../api/types";
import { ofInstances } from "../lib/tones";
import { byEnd } from "./columns";
import type { MapData } from "./memory";

export const GATEWAY = "gateway";

/** More nodes than these cannot be read on one screen. */
export const MOST_NODES = 30;

export interface Choice {
  services: ServiceLoad[];
  /** How many are left out. */
  hidden: number;
}

/** The services of the map, the gateway first, in an order that does not follow the figures. */
export function choose({ services, edges }: MapData, selected: string | undefined): Choice {
  if (services.length <= MOST_NODES) return { services: services.toSorted(byName), hidden: 0 };
  const callers = byEnd(edges, "to");
  const names = new Set<string>();
  const add = (name: string): void => {
    const chain = wayTo(name, callers).filter((one) => !names.has(one));
    if (names.size + chain.length <= MOST_NODES) for (const one of chain) names.add(one);
  };
  if (selected !== undefined) {
    add(selected);
    for (const { from, to } of edges.toSorted((a, b) => b.rate - a.rate)) {
      if (from === selected) add(to);
      if (to === selected) add(from);
    }
  }
  for (const { name } of services.toSorted((a, b) => weight(b) - weight(a))) {
    if (names.size >= MOST_NODES) break;
    add(name);
  }
  const chosen = services.filter(({ name }) => names.has(name)).toSorted(byName);
  return { services: chosen, hidden: services.length - chosen.length };
}

/** The service and its busiest callers, up to who is called by nobody. */
function wayTo(name: string, callers: Map<string, Edge[]>): string[] {
  const way = [name];
  for (;;) {
    let busiest: Edge | undefined;
    for (const edge of callers.get(way.at(-1) ?? "") ?? []) {
      if (!way.includes(edge.from) && edge.rate >= (busiest?.rate ?? 0)) busiest = edge;
    }
    if (!busiest) return way;
    way.push(busiest.from);
  }
}

function weight({ name, rate, errorRate, instances }: ServiceLoad): number {
  if (name === GATEWAY) return Infinity;
  const isDown = instances.critical > 0 || ofInstances(instances) === "bad";
  return rate * (1 + 20 * errorRate) + (isDown ? 1_000_000 : 0);
}

function byName(a: ServiceLoad, b: ServiceLoad): number {
  if (a.name === GATEWAY) return -1;
  if (b.name === GATEWAY) return 1;
  return a.name < b.name ? -1 : 1;
}
