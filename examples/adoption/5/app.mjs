// What is left of the monolith: users.

import { Problem } from "../lib/service.mjs";

export class MonolithicApp {
  constructor(db) {
    this.userModule = new UserModule(db);
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
