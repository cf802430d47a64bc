/** The stages of an order, as a buyer thinks of them, read from the steps that were reached. */

import type { Progress } from "./types";

export type StageName = "placed" | "reserved" | "paid" | "shipped" | "completed" | "notified";
export type StageState = "done" | "now" | "ahead" | "failed" | "undone" | "skipped";

export interface Stage {
  name: StageName;
  state: StageState;
  /** When it came to this. */
  at: string | null;
}

interface Rule {
  name: StageName;
  failed?: string;
  undone?: string;
  /** The reason of a cancelled order that means that this failed. */
  reason?: string;
}

const RULES: Rule[] = [
  { name: "placed" },
  {
    name: "reserved",
    failed: "out-of-stock",
    undone: "released",
    reason: "insufficient-inventory",
  },
  { name: "paid", failed: "declined", undone: "refunded", reason: "payment-declined" },
  {
    name: "shipped",
    failed: "undeliverable",
    undone: "recalled",
    reason: "address-undeliverable",
  },
  { name: "completed" },
];

/** The stages of an order; `notifiedAt` is known by another service. */
export function stagesOf(progress: Progress, notifiedAt: string | null): Stage[] {
  const at = (step: string | undefined): string | null =>
    progress.steps.find((reached) => reached.step === step)?.at ?? null;
  const isCancelled = progress.status === "cancelled";
  const stages = RULES.map((rule): Stage => {
    const { name, failed, undone, reason } = rule;
    const [done, failedAt, undoneAt] = [at(name), at(failed), at(undone)];
    const hasFailed = failedAt !== null || (isCancelled && progress.reason === reason);
    if (hasFailed) return { name, state: "failed", at: failedAt };
    if (undoneAt !== null) return { name, state: "undone", at: undoneAt };
    if (done !== null) return { name, state: "done", at: done };
    return { name, state: isCancelled ? "skipped" : "ahead", at: null };
  });
  const state = notifiedAt !== null ? "done" : isCancelled ? "skipped" : "ahead";
  stages.push({ name: "notified", state, at: notifiedAt });
  const next = stages.find((stage) => stage.state === "ahead");
  if (next !== undefined) next.state = "now";
  return stages;
}
