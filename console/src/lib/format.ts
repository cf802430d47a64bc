// Numbers and times as the user's region writes them. Reading one in a template follows a change of
// the language.

import { t } from "../i18n";
import { LANGUAGES } from "../i18n/dictionaries";
import { settings } from "../state/settings.svelte";

/** The region's form of each language, such as `en-GB`, where the browser names one. */
const LOCALES = new Map(
  LANGUAGES.map((language) => [
    language,
    navigator.languages.find((tag) => tag.startsWith(language)) ?? language,
  ]),
);

const formats = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>();

/** Making a format costs more than using it a thousand times. */
function cached<F extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(
  kind: string,
  make: (locale: string) => F,
): F {
  const locale = LOCALES.get(settings.language) ?? settings.language;
  const key = `${locale} ${kind}`;
  const known = formats.get(key);
  if (known) return known as F;
  const made = make(locale);
  formats.set(key, made);
  return made;
}

/** A count. */
export function count(value: number): string {
  return cached("count", (tag) => new Intl.NumberFormat(tag)).format(value);
}

/** Calls per second, with as many digits as tell something. */
export function rate(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return decimal(value, digits);
}

/** A share of 1 in percent. */
export function percent(share: number): string {
  const digits = share === 0 || share >= 0.1 ? 0 : share >= 0.01 ? 1 : 2;
  return cached(
    `percent ${digits}`,
    (tag) =>
      new Intl.NumberFormat(tag, {
        style: "percent",
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      }),
  ).format(share);
}

/** A span of time given in milliseconds. */
export function duration(milliseconds: number): string {
  if (milliseconds === 0) return "0";
  if (milliseconds < 1) return `${decimal(milliseconds * 1_000, 0)} µs`;
  if (milliseconds < 1_000) return `${decimal(milliseconds, milliseconds < 10 ? 1 : 0)} ms`;
  if (milliseconds < 60_000) return `${decimal(milliseconds / 1_000, milliseconds < 10_000 ? 2 : 1)} s`;
  const minutes = milliseconds / 60_000;
  if (minutes < 60) return t("time.minutes", { n: decimal(minutes, 1) });
  return t("time.hours", { n: decimal(minutes / 60, 1) });
}

/** A time of day, with its day unless that is today. */
export function time(at: string | number, now: number): string {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date(now).toDateString();
  const format = cached(
    isToday ? "clock" : "day and clock",
    (tag) =>
      new Intl.DateTimeFormat(tag, {
        ...(isToday ? {} : { month: "short", day: "numeric" }),
        hour: "2-digit",
        minute: "2-digit",
        second: "2-digit",
        hourCycle: "h23",
      }),
  );
  return format.format(date);
}

/** Date and time to the millisecond, with the zone, for who wants to know it exactly. */
export function exactTime(at: string | number): string {
  const format = cached(
    "exact",
    (tag) =>
      new Intl.DateTimeFormat(tag, {
        year: "numeric",
        month: "short",
        day: "numeric",
        hour: "2-digit",
        minute: "2-digit",
        second: "2-digit",
        fractionalSecondDigits: 3,
        hourCycle: "h23",
        timeZoneName: "short",
      }),
  );
  return format.format(new Date(at));
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago it was. */
export function ago(at: string | number, now: number): string {
  const seconds = Math.min(0, (new Date(at).getTime() - now) / 1_000);
  const [unit, size] = UNITS.find(([, size]) => -seconds >= size) ?? ["second", 1];
  const format = cached(
    "ago",
    (tag) => new Intl.RelativeTimeFormat(tag, { numeric: "auto", style: "short" }),
  );
  return format.format(Math.trunc(seconds / size), unit);
}

/** A long id, short enough for a table and long enough to be told apart. */
export function shortId(id: string): string {
  return id.length > 13 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id;
}

function decimal(value: number, digits: number): string {
  return cached(
    `decimal ${digits}`,
    (tag) => new Intl.NumberFormat(tag, { maximumFractionDigits: digits }),
  ).format(value);
}
