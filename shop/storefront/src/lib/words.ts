/** Numbers, times and refusals in the words of the language that was chosen. */

import { Refusal } from "./http";
import { taste } from "./taste.svelte";

/** An amount in minor units, as its currency is written. */
export function money(amount: number, currency: string): string {
  const format = new Intl.NumberFormat(taste.locale, { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 0;
  return format.format(amount / 10 ** digits);
}

export function count(number: number): string {
  return new Intl.NumberFormat(taste.locale).format(number);
}

export function moment(at: string): string {
  const style = { dateStyle: "medium", timeStyle: "short" } as const;
  return new Intl.DateTimeFormat(taste.locale, style).format(new Date(at));
}

export function clock(at: string): string {
  const style = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
  return new Intl.DateTimeFormat(taste.locale, style).format(new Date(at));
}

/** Why a request failed. What the shop has no words for is said as the service said it. */
export function trouble(error: unknown): string {
  const words: Record<string, string> = taste.texts.troubles;
  if (!(error instanceof Refusal)) return taste.texts.unexpected;
  return words[error.code] ?? words[String(error.status)] ?? error.message;
}

/** Why an order was cancelled. */
export function reason(code: string): string {
  const words: Record<string, string> = taste.texts.reasons;
  return words[code] ?? taste.texts.otherReason;
}

/** What the bank said of a card. */
export function decline(code: string): string {
  const words: Record<string, string> = taste.texts.declines;
  return words[code] ?? taste.texts.otherDecline;
}
