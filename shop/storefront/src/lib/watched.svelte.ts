/** An order that is looked at: what was ordered, how far it is, what was paid and sent for it. */

import { follow, type Link } from "./follow";
import { notifications, order, payments, shipments } from "./shop";
import { stagesOf, type Stage } from "./stages";
import type { Order, Payment, Progress, Shipment, Status } from "./types";

/** How often and how long to look for the message that comes after the end, in milliseconds. */
const LOOK = 700;
const LOOKS = 8;

export class Watched {
  order = $state<Order | null>(null);
  progress = $state<Progress | null>(null);
  payments = $state<Payment[]>([]);
  shipments = $state<Shipment[]>([]);
  notifiedAt = $state<string | null>(null);
  link = $state<Link>("polling");
  error = $state<unknown>(null);

  constructor(readonly id: string) {}

  get status(): Status {
    return this.progress?.status ?? this.order?.status ?? "pending";
  }

  get reason(): string | null {
    return this.progress?.reason ?? this.order?.reason ?? null;
  }

  get stages(): Stage[] {
    return this.progress === null ? [] : stagesOf(this.progress, this.notifiedAt);
  }

  /** Watches until the order is over and everything about it is known, or `signal` is given. */
  async watch(signal: AbortSignal): Promise<void> {
    try {
      this.error = null;
      this.order = await order(this.id);
      const tellLink = (link: Link): void => {
        this.link = link;
      };
      await follow(this.id, signal, (progress) => this.#hear(progress), tellLink);
      await this.#settle();
      await this.#lookForMessage(signal);
    } catch (error) {
      if (!signal.aborted) this.error = error;
    }
  }

  #hear(progress: Progress): void {
    this.progress = progress;
    // What is paid and sent changes with the steps; it is asked for once more at the end.
    void this.#settle().catch(() => undefined);
  }

  async #settle(): Promise<void> {
    [this.payments, this.shipments] = await Promise.all([payments(this.id), shipments(this.id)]);
  }

  async #lookForMessage(signal: AbortSignal): Promise<void> {
    for (let look = 0; look < LOOKS && this.status === "completed" && !signal.aborted; look += 1) {
      const message = (await notifications()).find(({ orderId }) => orderId === this.id);
      if (message !== undefined) {
        this.notifiedAt = message.createdAt;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }
}
