// The live stream: the overview once a second, and which parts changed. While it is away the console
// says so, and what it shows is marked as old.

import { call, get } from "../api/client";
import { EventReader, type ServerEvent } from "../api/events";
import type { Overview, Part } from "../api/types";
import { MapMemory, type MapData } from "../map/memory";
import { session } from "./session.svelte";

export type Connection = "connecting" | "live" | "lost";

/** A second of the past, for the small curves. */
export interface Sample {
  rate: number;
  errors: number;
  p99: number;
}

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
/** A stream that says nothing for so long is dead: the platform sends an overview each second. */
const SILENCE = 10_000;
const SAMPLES = 90;

class Live {
  #connection = $state<Connection>("connecting");
  #overview = $state.raw<Overview>();
  #map = $state.raw<MapData>({ services: [], edges: [] });
  #samples = $state.raw<Sample[]>([]);
  #changes = $state<Partial<Record<Part, number>>>({});
  #connections = $state(0);
  #memory = new MapMemory();
  #wait = FIRST_WAIT;
  #running: AbortController | undefined;

  get connection(): Connection {
    return this.#connection;
  }

  get isLive(): boolean {
    return this.#connection === "live";
  }

  /** True while what is shown may be old. */
  get isStale(): boolean {
    return this.#connection === "lost";
  }

  get overview(): Overview | undefined {
    return this.#overview;
  }

  /** The services and links of the overview, and those of earlier ones. */
  get map(): MapData {
    return this.#map;
  }

  get samples(): Sample[] {
    return this.#samples;
  }

  /** Grows when the part changed, and when the stream came back: read it to load again. */
  version(part: Part): number {
    return (this.#changes[part] ?? 0) + this.#connections;
  }

  /** Connects, and connects again until `stop`. */
  async start(): Promise<void> {
    this.stop();
    const running = new AbortController();
    this.#running = running;
    while (!running.signal.aborted && !session.isRefused) {
      try {
        await this.#listen(running.signal);
      } catch {
        // Whatever ended the stream: it is tried again, and the sign says that it is away.
      }
      if (running.signal.aborted) return;
      this.#connection = "lost";
      await pause(this.#wait * (0.75 + Math.random() / 2), running.signal);
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
      await this.#catchUp(running.signal);
    }
  }

  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
  }

  async #listen(stop: AbortSignal): Promise<void> {
    const silent = new AbortController();
    const signal = AbortSignal.any([stop, silent.signal]);
    let alarm = setTimeout(() => silent.abort(), SILENCE);
    try {
      const answer = await call("/api/v1/live", { signal });
      if (!answer.body) return;
      this.#connections += 1;
      const reader = new EventReader();
      const texts = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await texts.read();
        if (done) return;
        clearTimeout(alarm);
        alarm = setTimeout(() => silent.abort(), SILENCE);
        for (const piece of reader.push(value)) {
          if ("retry" in piece) this.#wait = Math.min(piece.retry, LONGEST_WAIT);
          else this.#take(piece.event);
        }
      }
    } finally {
      clearTimeout(alarm);
    }
  }

  #take(event: ServerEvent): void {
    if (event.name === "overview") {
      this.#connection = "live";
      this.#wait = FIRST_WAIT;
      this.#show(JSON.parse(event.data) as Overview);
    } else if (event.name === "changed") {
      const { what } = JSON.parse(event.data) as { what: Part };
      this.#changes[what] = (this.#changes[what] ?? 0) + 1;
    }
  }

  #show(overview: Overview): void {
    this.#overview = overview;
    this.#map = this.#memory.extend(overview);
    this.#samples = [...this.#samples, sample(overview)].slice(-SAMPLES);
  }

  /** Without a stream (too many listeners, a proxy that holds it back) figures come slowly. */
  async #catchUp(signal: AbortSignal): Promise<void> {
    try {
      this.#show(await get<Overview>("/api/v1/overview", signal, ["services", "edges"]));
    } catch {
      // The sign says already that nothing is live.
    }
  }
}

/** What enters by the gateway, or all calls where no gateway was seen. */
export function sample(overview: Overview): Sample {
  const gateway = overview.services.find((service) => service.name === "gateway");
  if (gateway) return { rate: gateway.rate, errors: gateway.errorRate, p99: gateway.p99Ms };
  let rate = 0;
  let errors = 0;
  let p99 = 0;
  for (const service of overview.services) {
    rate += service.rate;
    errors += service.rate * service.errorRate;
    p99 = Math.max(p99, service.p99Ms);
  }
  return { rate, errors: rate > 0 ? errors / rate : 0, p99 };
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    });
  });
}

export const live = new Live();
