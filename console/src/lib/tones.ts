// What a state looks like. A tone is never told by colour alone: each has a sign of its own.

import type { BreakerState, Health, InstanceCounts, LogLevel, Progress, SagaStatus } from "../api/types";

export type Tone = "ok" | "warn" | "bad" | "busy" | "quiet";

export const SAGA: Record<SagaStatus, Tone> = {
  running: "busy",
  compensating: "warn",
  parked: "bad",
  completed: "ok",
  compensated: "quiet",
};

export const PROGRESS: Record<Progress, Tone> = {
  idle: "quiet",
  "in-flight": "busy",
  failed: "warn",
  done: "ok",
  rejected: "bad",
};

export const BREAKER: Record<BreakerState, Tone> = {
  closed: "ok",
  open: "bad",
  "half-open": "warn",
};

export const HEALTH: Record<Health, Tone> = { passing: "ok", warning: "warn", critical: "bad" };

export const LEVEL: Record<LogLevel, Tone> = {
  trace: "quiet",
  debug: "quiet",
  info: "busy",
  warn: "warn",
  error: "bad",
};

/** From which share of failures on a service or an edge is in trouble. */
const TROUBLE = 0.05;

/** How calls go by their share of failures. */
export function ofErrors(share: number): Tone {
  if (share >= TROUBLE) return "bad";
  return share > 0 ? "warn" : "ok";
}

/** How a service is by its instances; one without any is only seen from outside. */
export function ofInstances({ passing, warning, critical }: InstanceCounts): Tone {
  if (critical > 0) return passing + warning > 0 ? "warn" : "bad";
  if (warning > 0) return "warn";
  return passing > 0 ? "ok" : "quiet";
}
