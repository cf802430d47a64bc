// The monolith of the guide: every function in one application, over one database.

import { randomUUID } from "node:crypto";
import { Problem } from "../lib/service.mjs";

export class MonolithicApp {
  constructor(db) {
    this.userModule = new UserModule(db);
    this.orderModule = new OrderModule(db);
    this.paymentModule = new PaymentModule(db);
    this.notificationModule = new NotificationModule(db);
  }

  async processOrder(userId, orderData) {
    const user = await this.userModule.validateUser(userId);
    const created = await this.orderModule.createOrder(orderData);
    const payment = await this.paymentModule.processPayment(created);
    const order = await this.orderModule.getOrder(created.id);
    await this.notificationModule.sendNotification(user, order);
    return { user, order, payment };
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

class OrderModule {
  constructor(db) {
    this.db = db;
  }

  async createOrder({ userId, items }) {
    const isItem = ({ quantity, price }) =>
      Number.isInteger(quantity) && quantity > 0 && Number.isInteger(price) && price >= 0;
    const valid = Array.isArray(items) && items.length > 0 && items.every((item) => item && isItem(item));
    if (!valid) throw new Problem(400, "invalid-request", "An order has items with a quantity and a price");
    const totalAmount = items.reduce((total, { price, quantity }) => total + price * quantity, 0);
    const createdAt = new Date().toISOString();
    const order = { id: randomUUID(), userId, items, totalAmount, status: "pending", createdAt };
    this.db.commit(["orders", order]);
    return order;
  }

  async getOrder(id) {
    const order = this.db.get("orders", id);
    if (!order) throw new Problem(404, "order-not-found", "Order not found");
    return order;
  }

  /** What was sold: the report that the accountants read. */
  async report() {
    const sold = this.db.all("orders").filter(({ status }) => status === "confirmed");
    return { orders: sold.length, totalAmount: sold.reduce((total, order) => total + order.totalAmount, 0) };
  }
}

const CARD_LIMIT = 1_000_000;

class PaymentModule {
  constructor(db) {
    this.db = db;
  }

  /** Writes its own table and the orders', in one transaction: the tie that makes them hard to part. */
  async processPayment({ id: orderId, totalAmount: amount }) {
    const status = amount > CARD_LIMIT ? "failed" : "completed";
    const payment = {
      id: randomUUID(),
      orderId,
      amount,
      method: "card",
      status,
      processedAt: new Date().toISOString(),
    };
    const order = this.db.get("orders", orderId);
    const next = status === "completed" ? "confirmed" : "cancelled";
    this.db.commit(["payments", payment], ["orders", { ...order, status: next }]);
    if (status === "failed") throw new Problem(402, "payment-declined", "Payment declined");
    return payment;
  }
}

class NotificationModule {
  constructor(db) {
    this.db = db;
  }

  async sendNotification(user, order) {
    const message = `Order ${order.id} is ${order.status}`;
    const notification = { id: randomUUID(), userId: user.id, orderId: order.id, message };
    this.db.commit(["notifications", notification]);
    return notification;
  }

  async notificationsOf(userId) {
    return this.db.all("notifications").filter((notification) => notification.userId === userId);
  }
}
