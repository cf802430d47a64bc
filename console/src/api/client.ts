// Calls of the platform API. A refusal is an exception with problem details, whatever refused.

import { t } from "../i18n";
import { session } from "../state/session.svelte";
import type { Problem } from "./types";

/** The API refused a call, or nobody answered it. */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }
}

/** A platform that does not answer at all; no server gave this code. */
export const UNREACHABLE: Problem = { title: "unreachable", status: 0 };

/** How long a call may take until its answer is read, in milliseconds: one that asks, one that does. */
const READ_LIMIT = 15_000;
const ACTION_LIMIT = 30_000;

/** What happened, as problem details. An aborted call is nobody's problem: `undefined`. */
export function problemOf(thrown: unknown): Problem | undefined {
  if (thrown instanceof Refused) return thrown.problem;
  if (thrown instanceof DOMException && thrown.name === "AbortError") return undefined;
  if (thrown instanceof DOMException && thrown.name === "TimeoutError") {
    return { title: t("problem.late"), status: 0, detail: t("problem.late.next") };
  }
  return { title: t("problem.unexpected"), status: 0, detail: String(thrown) };
}

/** Gets JSON, an object that has these lists. */
export async function get<T>(path: string, signal?: AbortSignal, lists: readonly string[] = []): Promise<T> {
  const answer = await call(path, { signal: within(READ_LIMIT, signal) });
  const told: unknown = await answer.json();
  const members = typeof told === "object" && told !== null ? new Map(Object.entries(told)) : undefined;
  const missing = members ? lists.find((list) => !Array.isArray(members.get(list))) : "{}";
  if (missing === undefined) return told as T;
  throw new Refused({ title: t("problem.unexpected"), status: 0, detail: t("problem.missing", { name: missing }) });
}

/** Gets text, such as the page of an error. */
export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  const answer = await call(path, { signal: within(READ_LIMIT, signal) });
  return answer.text();
}

/** Tells the platform to do something; answers its JSON, or `undefined` if it has none. */
export async function post<T>(path: string, body?: unknown): Promise<T | undefined> {
  const request: RequestInit = { method: "POST", signal: within(ACTION_LIMIT) };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { "content-type": "application/json" };
  }
  const answer = await call(path, request);
  const text = await answer.text();
  return text === "" ? undefined : (JSON.parse(text) as T);
}

function within(limit: number, signal?: AbortSignal): AbortSignal {
  const alarm = AbortSignal.timeout(limit);
  return signal ? AbortSignal.any([signal, alarm]) : alarm;
}

/** Sends one request with the token, if there is one; how long it may take is for the caller to say. */
export async function call(path: string, request: RequestInit): Promise<Response> {
  const headers = new Headers(request.headers);
  authorize(headers);
  let answer: Response;
  try {
    answer = await fetch(path, { ...request, headers, cache: "no-store", credentials: "omit" });
  } catch (thrown) {
    if (thrown instanceof DOMException) throw thrown;
    throw new Refused(UNREACHABLE);
  }
  if (answer.ok) return answer;
  if (answer.status === 401) session.refuse();
  throw new Refused(await refusal(answer));
}

function authorize(headers: Headers): void {
  if (session.token === undefined) return;
  try {
    headers.set("authorization", `Bearer ${session.token}`);
  } catch {
    // Nothing that a header can carry, so no platform has such a token.
    session.refuse();
    throw new Refused({ title: "Unauthorized", status: 401 });
  }
}

async function refusal(answer: Response): Promise<Problem> {
  const bare: Problem = { title: answer.statusText || "error", status: answer.status };
  try {
    const told = (await answer.json()) as Partial<Problem>;
    return { ...bare, ...told };
  } catch {
    return bare;
  }
}

/** A path of the API: each of `segments` is a name and is encoded. */
export function path(base: string, ...segments: string[]): string {
  return [base, ...segments.map(encodeURIComponent)].join("/");
}

/** `base` with the members of `query` that are neither absent nor empty. */
export function withQuery(
  base: string,
  query: Record<string, string | number | boolean | undefined>,
): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") parts.set(name, String(value));
  }
  const text = parts.toString();
  return text === "" ? base : `${base}?${text}`;
}
