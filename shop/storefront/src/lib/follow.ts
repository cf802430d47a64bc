/** An order while it happens: by its stream, and by asking now and then while there is none. */

import { Refusal, send } from "./http";
import { progress } from "./shop";
import { eventsOf } from "./stream";
import type { Progress } from "./types";

/** How the page hears of an order. */
export type Link = "live" | "polling" | "over";

/** More than twice the silence after which the service says that it lives. */
const PATIENCE = 40_000;
/** The pause between two questions, and how many are asked until the stream is tried again. */
const PAUSE = 2_000;
const QUESTIONS = 5;

/** Tells each change until the order is over or `signal` is given. Fails if it is not ours to see. */
export async function follow(
  id: string,
  signal: AbortSignal,
  tell: (progress: Progress) => void,
  tellLink: (link: Link) => void,
): Promise<void> {
  let isOver = false;
  const hear = (progress: Progress): void => {
    isOver = progress.isOver;
    tell(progress);
  };
  while (!isOver && !signal.aborted) {
    await attempt(signal, () => listen(id, signal, hear, tellLink));
    for (let asked = 0; asked < QUESTIONS && !isOver && !signal.aborted; asked += 1) {
      tellLink("polling");
      await attempt(signal, async () => hear(await progress(id, signal)));
      if (!isOver) await pause(signal);
    }
  }
  if (isOver) tellLink("over");
}

async function listen(
  id: string,
  signal: AbortSignal,
  hear: (progress: Progress) => void,
  tellLink: (link: Link) => void,
): Promise<void> {
  const path = `/orders/${encodeURIComponent(id)}/events`;
  const response = await send(path, { accept: "text/event-stream", signal });
  tellLink("live");
  for await (const event of eventsOf(response, PATIENCE)) {
    if (event.name !== "order") continue;
    const heard = JSON.parse(event.data) as Progress;
    hear(heard);
    if (heard.isOver) return;
  }
}

/** What fails may work in a moment, but what is not ours never will. */
async function attempt(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isFinal = error instanceof Refusal && [401, 403, 404].includes(error.status);
    if (isFinal && !signal.aborted) throw error;
  }
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PAUSE);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
