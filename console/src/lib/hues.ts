// Colours that tell the services of one trace apart, of one lightness in each theme.

const HUES = 12;

/** A CSS colour for each of `names`: the same at every look, and no two alike while there are enough. */
export function hues(names: readonly string[]): (name: string) => string {
  const taken = new Set<number>();
  const chosen = new Map<string, number>();
  for (const name of [...new Set(names)].toSorted()) {
    let hue = hash(name) % HUES;
    while (taken.size < HUES && taken.has(hue)) hue = (hue + 5) % HUES;
    taken.add(hue);
    chosen.set(name, hue);
  }
  return (name) => color(chosen.get(name) ?? 0);
}

function color(hue: number): string {
  const angle = 20 + hue * (360 / HUES);
  return `light-dark(oklch(0.55 0.115 ${angle}), oklch(0.74 0.105 ${angle}))`;
}

function hash(text: string): number {
  let state = 2_166_136_261;
  for (const character of text) {
    state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 16_777_619);
  }
  return state >>> 0;
}
