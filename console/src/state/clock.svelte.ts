// The time of day, a second at a time, for texts like "12 s ago".

class Ticker {
  #now = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.#now = Date.now();
    }, 1_000);
  }

  get now(): number {
    return this.#now;
  }
}

export const ticker = new Ticker();
