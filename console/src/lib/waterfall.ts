// The spans of a trace as rows of a tree, each with its place in time.

import type { Span, Trace } from "../api/types";

export interface Row {
  span: Span;
  depth: number;
  /** How many spans hang below it. */
  below: number;
  /** In milliseconds since the trace began. */
  start: number;
  length: number;
}

export interface Waterfall {
  rows: Row[];
  /** Milliseconds from the first start to the last end. */
  length: number;
  begin: number;
  services: string[];
}

/**
 * Orders spans as a tree, by their start; those whose parent is missing stand at the top. Of spans
 * that are each other's parents, the first to start does.
 */
export function waterfall({ spans }: Trace): Waterfall {
  const times = new Map(
    spans.map((span) => [span.spanId, { start: millis(span.start), end: millis(span.end) }]),
  );
  const begin = Math.min(...[...times.values()].map(({ start }) => start));
  const end = Math.max(...[...times.values()].map((time) => time.end));
  const children = new Map<string, Span[]>();
  const tops: Span[] = [];
  for (const span of spans) {
    if (span.parent === null || !times.has(span.parent)) tops.push(span);
    else children.set(span.parent, [...(children.get(span.parent) ?? []), span]);
  }
  const seen = new Set<string>();
  const rows: Row[] = [];
  const add = (span: Span, depth: number): number => {
    if (seen.has(span.spanId)) return 0;
    seen.add(span.spanId);
    const time = times.get(span.spanId) ?? { start: begin, end: begin };
    const row: Row = { span, depth, below: 0, start: time.start - begin, length: time.end - time.start };
    rows.push(row);
    const inner = (children.get(span.spanId) ?? []).toSorted(byStart);
    for (const child of inner) row.below += add(child, depth + 1);
    return row.below + 1;
  };
  for (const top of tops.toSorted(byStart)) add(top, 0);
  // What is left hangs in a circle, or below one.
  for (const span of spans.toSorted(byStart)) add(span, 0);
  const services = [...new Set(rows.map(({ span }) => span.service))];
  return { rows, length: Math.max(0.001, end - begin), begin, services };
}

/** The rows without those below a closed one. */
export function withoutClosed(rows: readonly Row[], closed: ReadonlySet<string>): Row[] {
  const result: Row[] = [];
  let skip = 0;
  for (const row of rows) {
    if (skip > 0) {
      skip -= 1;
      continue;
    }
    result.push(row);
    if (closed.has(row.span.spanId)) skip = row.below;
  }
  return result;
}

/** Milliseconds since 1970 with the microseconds that `Date` drops. */
export function millis(at: string): number {
  const fraction = /\.\d{3}(\d{1,6})/.exec(at)?.[1];
  return new Date(at).getTime() + (fraction ? Number(`0.${fraction}`) : 0);
}

function byStart(a: Span, b: Span): number {
  return millis(a.start) - millis(b.start);
}
