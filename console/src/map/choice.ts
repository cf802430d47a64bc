// Which services the map shows when there are too many to be read: those in trouble, then the busiest.

import type { Overview, ServiceLoad } from "../api/types";
import { ofInstances } from "../lib/tones";

export const GATEWAY = "gateway";

/** More nodes than these cannot be read on one screen. */
export const MOST_NODES = 36;

export interface Choice {
  services: ServiceLoad[];
  /** How many are left out. */
  hidden: number;
}

/** The services of the map, the gateway first, in an order that does not follow the figures. */
export function choose({ services, edges }: Overview, selected: string | undefined): Choice {
  const wanted =
    services.length <= MOST_NODES
      ? services
      : services.toSorted((a, b) => weight(b) - weight(a)).slice(0, MOST_NODES);
  const names = new Set(wanted.map(({ name }) => name));
  if (selected !== undefined) {
    names.add(selected);
    for (const { from, to } of edges) {
      if (names.size > MOST_NODES + MOST_NODES / 2) break;
      if (from === selected) names.add(to);
      if (to === selected) names.add(from);
    }
  }
  const chosen = services.filter(({ name }) => names.has(name)).toSorted(byName);
  return { services: chosen, hidden: services.length - chosen.length };
}

function weight({ name, rate, errorRate, instances }: ServiceLoad): number {
  if (name === GATEWAY) return Infinity;
  const isSick = ["bad", "warn"].includes(ofInstances(instances));
  return rate * (1 + 20 * errorRate) + (isSick ? 1_000_000 : 0);
}

function byName(a: ServiceLoad, b: ServiceLoad): number {
  if (a.name === GATEWAY) return -1;
  if (b.name === GATEWAY) return 1;
  return a.name < b.name ? -1 : 1;
}
