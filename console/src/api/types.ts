// The answers of the platform API, as `crates/ieum-remote/src/wire` writes them.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Problem details (RFC 9457), as every refusal carries them. */
export interface Problem {
  title: string;
  status: number;
  code?: string;
  detail?: string;
  retryAfter?: number;
  /** What was perhaps meant, for a subject of an impact that nobody knows. */
  nearest?: { kind: string; name: string }[];
}

export interface Load {
  rate: number;
  errorRate: number;
  p50Ms: number;
  p99Ms: number;
}

export interface InstanceCounts {
  passing: number;
  warning: number;
  critical: number;
}

export interface ServiceLoad extends Load {
  name: string;
  owner: string | null;
  instances: InstanceCounts;
}

export interface Edge extends Load {
  from: string;
  to: string;
}

export interface Overview {
  at: string;
  platform: { name: string; version: string; startedAt: string };
  windowSeconds: number;
  services: ServiceLoad[];
  edges: Edge[];
  sagas: Record<SagaStatus, number>;
  deadLetters: number;
  lag: number;
  breakers: { closed: number; open: number; halfOpen: number };
}

/** The parts of the platform whose changes the live stream tells. */
export type Part = "services" | "sagas" | "traces" | "breakers" | "topics" | "routes" | "dead-letters";

export type Health = "passing" | "warning" | "critical";

export interface Instance {
  id: string;
  authority: string;
  status: Health;
  output: string;
  meta: Record<string, string>;
}

export interface Service {
  name: string;
  owner: string | null;
  tags: string[];
  instances: Instance[];
}

/** A route of the gateway; what it has beside these members is shown as it is. */
export interface Route {
  name: string;
  path: string;
  methods: string[];
  upstreams: string[];
  auth: string;
  roles: string[];
  [more: string]: Json;
}

export type BreakerState = "closed" | "open" | "half-open";

export interface BreakerChange {
  at: string;
  from: BreakerState;
  to: BreakerState;
  reason: string;
}

export interface Breaker {
  service: string;
  target: string;
  owner: string;
  instance: string;
  state: BreakerState;
  since: string;
  calls: number;
  failures: number;
  failureRate: number;
  changes: BreakerChange[];
}

export type SagaStatus = "running" | "compensating" | "parked" | "completed" | "compensated";

export interface SagaSummary {
  id: string;
  definition: string;
  hash: string;
  key: string;
  status: SagaStatus;
  step?: string;
  failure?: string;
  parked?: string;
  startedAt: string;
  updatedAt: string;
}

export type Progress = "idle" | "in-flight" | "failed" | "done" | "rejected";

/** One direction of a step. */
export interface Call {
  progress: Progress;
  attempts: number;
  firstAt?: string;
  lastAt?: string;
  error?: string;
}

export interface SagaStep extends Call {
  name: string;
  pivot: boolean;
  service: string;
  uncertain: boolean;
  answer?: Json;
  undo?: Call;
}

export interface HistoryItem {
  at: string;
  type: string;
  [member: string]: Json;
}

export interface Saga extends SagaSummary {
  input: Json;
  failed?: { step?: string; code: string; detail: string };
  cancelRequested?: string;
  traceparent: string;
  trigger?: { stream: string; position: number; id: string };
  steps: SagaStep[];
  history: HistoryItem[];
}

export interface Topic {
  topic: string;
  messages: number;
  head: number;
}

export interface Group {
  topic: string;
  group: string;
  member: string | null;
  epoch: number;
  checkpoint: number;
  lag: number;
  deadLetters: number;
}

export interface DeadLetter {
  topic: string;
  group: string;
  position: number;
  key: string;
  reason: { gaveUp: string } | { behind: number };
  recordedAt: string;
  message: { id: string; source: string; type: string; [attribute: string]: Json };
}

export interface StreamSummary {
  stream: string;
  version: number;
  position: number;
  lastAt?: string;
}

export interface Streams {
  streams: StreamSummary[];
  next?: number;
  whole: boolean;
}

export interface StoredEvent {
  position: number;
  stream: string;
  version: number;
  id: string;
  type: string;
  data: Json;
  metadata: Record<string, Json>;
  tags: string[];
  recordedAt: string;
}

export interface TraceSummary {
  traceId: string;
  name: string;
  service: string;
  start: string;
  durationMs: number;
  spans: number;
  failed: boolean;
}

export type SpanKind = "internal" | "server" | "client" | "producer" | "consumer";

export interface Span {
  traceId: string;
  spanId: string;
  parent: string | null;
  service: string;
  name: string;
  kind: SpanKind;
  start: string;
  end: string;
  attributes: [string, string | number | boolean][];
  error: string | null;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

export interface LogLine {
  at: string;
  level: LogLevel;
  service: string;
  message: string;
  spanId: string | null;
  attributes: Record<string, Json>;
}

export interface Trace {
  traceId: string;
  spans: Span[];
  logs: LogLine[];
}

export interface Platform {
  name: string;
  own: boolean;
  alive: boolean;
  checks: boolean;
  partitions: string[];
  mirrors: string[];
}

export interface Platforms {
  shared: boolean;
  platforms: Platform[];
  unowned: number;
}

/** What depends on a subject. */
export interface Impact {
  subject: { kind: string; name: string };
  publishers: string[];
  consumers: { service: string; group: string; topic: string }[];
  routes: { name: string; path: string; service: string }[];
  contracts: { consumer: string; provider: string; kind: string; source: string }[];
  sagas: { definition: string; step: string; call: string }[];
  services: string[];
}
