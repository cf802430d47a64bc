// A colour for each service of a trace: the same at every look, of one lightness in both themes.

/** A CSS colour that depends on the name alone. */
export function hueOf(name: string): string {
  let hash = 2_166_136_261;
  for (const character of name) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619);
  }
  const hue = (hash >>> 0) % 360;
  return `light-dark(oklch(0.55 0.12 ${hue}), oklch(0.74 0.11 ${hue}))`;
}
