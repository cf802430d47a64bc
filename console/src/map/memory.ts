// Who called whom while this tab was open. The platform tells the calls of the last minute only; a map
// that forgot the others would jump whenever somebody pauses.

import type { Edge, Load, Overview, ServiceLoad } from "../api/types";

export interface MapData {
  services: ServiceLoad[];
  edges: Edge[];
}

/** More links than these are not remembered; nobody could read them. */
const MOST = 2_000;

/** As of links, of callers that have no instances. */
const MOST_CALLERS = 200;

const IDLE: Load = { rate: 0, errorRate: 0, p50Ms: 0, p99Ms: 0 };

/** Adds what was known before to each overview, as idle. */
export class MapMemory {
  #edges = new Map<string, Edge>();
  #callers = new Map<string, ServiceLoad>();

  extend({ services, edges }: Overview): MapData {
    const now = new Map(edges.map((edge) => [`${edge.from}\n${edge.to}`, edge]));
    for (const [key, edge] of now) {
      if (this.#edges.size < MOST) this.#edges.set(key, { ...edge, ...IDLE });
    }
    for (const service of services) {
      // One without instances, as the gateway, is told only while it works.
      const { passing, warning, critical } = service.instances;
      if (passing + warning + critical > 0) continue;
      const isKnown = this.#callers.has(service.name);
      if (isKnown || this.#callers.size < MOST_CALLERS) this.#callers.set(service.name, { ...service, ...IDLE });
    }
    const told = new Set(services.map(({ name }) => name));
    const absent = [...this.#callers.values()].filter(({ name }) => !told.has(name));
    return { services: [...services, ...absent], edges: [...new Map([...this.#edges, ...now]).values()] };
  }
}
