/** An order that is looked at: what was ordered, how far it is, what was paid and sent for it. */

import { follow, type Link } from "./follow";
import { notifications, order, payments, shipments } from "./shop";
import { stagesOf, type Stage } from "./stages";
import type { Order, Payment, Progress, Shipment, Status } from "./types";

/** How often and how long to look for the message that comes after the end, in milliseconds. */
const LOOK = 700;
const LOOKS = 8;

/** The steps with which payments, and those with which shipments change. */
const OF_MONEY = ["paid", "declined", "refunded"];
const OF_PARCELS = ["shipped", "recalled"];

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
      await Promise.all([this.#askPayments(), this.#askShipments()]);
      await this.#lookForMessage(signal);
    } catch (error) {
      if (!signal.aborted) this.error = error;
    }
  }

  #hear(progress: Progress): void {
    const before = this.progress;
    this.progress = progress;
    const hasNew = (steps: readonly string[]): boolean =>
      progress.steps.some(({ step }) => steps.includes(step) && !has(before, step));
    // What cannot be had now is asked for once more at the end.
    if (hasNew(OF_MONEY)) void this.#askPayments().catch(() => undefined);
    if (hasNew(OF_PARCELS)) void this.#askShipments().catch(() => undefined);
  }

  async #askPayments(): Promise<void> {
    this.payments = await payments(this.id);
  }

  async #askShipments(): Promise<void> {
    this.shipments = await shipments(this.id);
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

function has(progress: Progress | null, step: string): boolean {
  return progress?.steps.some((reached) => reached.step === step) ?? false;
}
