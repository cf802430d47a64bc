// What is left of the monolith: users, payments, notifications. It reads orders, and writes none.

import { randomUUID } from "node:crypto";
import { Problem } from "../lib/service.mjs";

export class MonolithicApp {
  constructor(db) {
    this.userModule = new UserModule(db);
    this.orderModule = new OrderModule(db);
    this.paymentModule = new PaymentModule(db);
    this.notificationModule = new NotificationModule(db);
  }

  /** What an event of the orders service changes here: the report's copy, and what the user is told. */
  changesOf({ type, data: order }) {
    const notification = type === "order.confirmed" ? [this.notificationModule.about(order)] : [];
    return [["orderCopies", order], ...notification];
  }
}

class UserModule {
  constructor(db) {
    this.db = db;
    for (const [id, name] of [
      ["u-1", "민수"],
      ["u-2", "서연"],
    ]) {
      if (!db.get("users", id)) db.commit(["users", { id, name, email: `${id}@shop.example` }]);
    }
  }

  async validateUser(id) {
    const user = this.db.get("users", id);
    if (!user) throw new Problem(404, "user-not-found", "User not found");
    return user;
  }
}

const PAGE = 100;

class OrderModule {
  constructor(db) {
    this.db = db;
  }

  /** The table as it was left, page by page, for the service that takes it over. */
  async page(after) {
    return this.db.all("orders").slice(after, after + PAGE);
  }

  /** What was sold: the report that the accountants read. They see no difference. */
  async report() {
    const orders = [...this.db.all("orders"), ...this.db.all("orderCopies")];
    const sold = orders.filter(({ status }) => status === "confirmed");
    return { orders: sold.length, totalAmount: sold.reduce((total, order) => total + order.totalAmount, 0) };
  }
}

const CARD_LIMIT = 1_000_000;

class PaymentModule {
  constructor(db) {
    this.db = db;
  }

  /** Writes its own table only. An order is paid once, however often this is asked. */
  async processPayment({ id: orderId, totalAmount: amount }) {
    let payment = this.db.all("payments").find((known) => known.orderId === orderId);
    if (!payment) {
      const status = amount > CARD_LIMIT ? "failed" : "completed";
      payment = { id: randomUUID(), orderId, amount, method: "card", status, processedAt: new Date().toISOString() };
      this.db.commit(["payments", payment]);
    }
    if (payment.status === "failed") throw new Problem(402, "payment-declined", "Payment declined");
    return payment;
  }
}

class NotificationModule {
  constructor(db) {
    this.db = db;
  }

  about(order) {
    const message = `Order ${order.id} is ${order.status}`;
    return ["notifications", { id: randomUUID(), userId: order.userId, orderId: order.id, message }];
  }

  async notificationsOf(userId) {
    return this.db.all("notifications").filter((notification) => notification.userId === userId);
  }
}
