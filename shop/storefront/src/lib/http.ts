/** Requests to the gateway that the page came from, and how it says no. */

import { session } from "./session.svelte";

const BASE = "/api/v1";

/** A request that was refused or failed; `code` is for the page, `message` for people. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

export interface Ask {
  method?: "GET" | "POST";
  body?: unknown;
  /** Sent again with the same key, a request has its effect once. */
  key?: string;
  accept?: string;
  /** In the place of the session's. */
  token?: string;
  signal?: AbortSignal;
}

/** Asks, and answers the response if it is a success. */
export async function send(path: string, ask: Ask = {}): Promise<Response> {
  const headers = new Headers({ accept: ask.accept ?? "application/json" });
  const token = ask.token ?? session.token;
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  if (ask.key !== undefined) headers.set("idempotency-key", ask.key);
  const init: RequestInit = { method: ask.method ?? "GET", headers, cache: "no-store" };
  if (ask.signal !== undefined) init.signal = ask.signal;
  if (ask.body !== undefined) {
    headers.set("content-type", "application/json");
    init.body = JSON.stringify(ask.body);
  }
  const response = await fetch(BASE + path, init).catch((cause: unknown) => {
    if (ask.signal?.aborted) throw cause;
    throw new Refusal(0, "unreachable", "the shop cannot be reached");
  });
  if (response.ok) return response;
  const refusal = await refusalOf(response);
  // A session ends by itself; the page then asks to sign in again.
  if (response.status === 401 && refusal.code !== "wrong-credentials") session.end();
  throw refusal;
}

/** Asks, and answers the body. */
export async function ask<T>(path: string, ask: Ask = {}): Promise<T> {
  const response = await send(path, ask);
  return (await response.json()) as T;
}

/** A key that nobody else uses; also where the page did not come over TLS. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function refusalOf(response: Response): Promise<Refusal> {
  const problem: unknown = await response.json().catch(() => null);
  const { code, detail, title } = (problem ?? {}) as Record<string, unknown>;
  const words = [detail, title].find((word) => typeof word === "string");
  return new Refusal(
    response.status,
    typeof code === "string" ? code : "",
    typeof words === "string" ? words : response.statusText,
  );
}
