// When each attempt of a saga's steps ran, from its history.

import type { HistoryItem, Saga } from "../api/types";
import type { Tone } from "./tones";

export interface Attempt {
  step: string;
  isUndo: boolean;
  number: number;
  from: number;
  to: number;
  tone: Tone;
  /** What came of it, in the participant's words. */
  note: string;
  isOpen: boolean;
}

const ENDS: Record<string, Tone> = {
  "saga.step-succeeded": "ok",
  "saga.step-rejected": "bad",
  "saga.step-uncertain": "warn",
  "saga.step-failed": "warn",
  "saga.undo-succeeded": "ok",
  "saga.undo-failed": "warn",
};

/** The attempts in the order in which they were intended; one without an end lasts until `now`. */
export function attempts({ history }: Saga, now: number): Attempt[] {
  const result: Attempt[] = [];
  const open = new Map<string, Attempt>();
  for (const item of history) {
    const key = `${item.type.includes("undo")} ${item["step"]} ${item["round"]} ${item["attempt"]}`;
    const at = new Date(item.at).getTime();
    const tone = ENDS[item.type];
    if (item.type.endsWith("-intended")) {
      const attempt: Attempt = {
        step: String(item["step"]),
        isUndo: item.type.includes("undo"),
        number: Number(item["attempt"]),
        from: at,
        to: now,
        tone: "busy",
        note: "",
        isOpen: true,
      };
      open.set(key, attempt);
      result.push(attempt);
    } else if (tone !== undefined) {
      const attempt = open.get(key);
      if (attempt) Object.assign(attempt, { to: at, tone, note: noteOf(item), isOpen: false });
    }
  }
  return result;
}

/** The members of an event that tell what happened, as text. */
export function noteOf(item: HistoryItem): string {
  const failure = item["failure"];
  const told = typeof failure === "object" && failure !== null && !Array.isArray(failure) ? failure : item;
  const parts = [
    told["step"] === item["step"] ? undefined : told["step"],
    told["code"],
    told["detail"],
    item["why"],
    item["reason"],
  ];
  const texts = parts.filter((part): part is string => typeof part === "string" && part !== "");
  return texts.join(" · ");
}

/** The id of the trace in a `traceparent`. */
export function traceOf(traceparent: string): string {
  return traceparent.split("-")[1] ?? "";
}
