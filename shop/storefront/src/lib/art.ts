/** Which drawing stands for a product: by what its name says it is, and a tint that stays the same. */

export type Drawing =
  | "shoe"
  | "boot"
  | "bag"
  | "socks"
  | "jacket"
  | "shirt"
  | "trousers"
  | "watch"
  | "parcel";

const SIGNS: [Drawing, RegExp][] = [
  ["boot", /등산|부츠|boot/i],
  ["shoe", /운동화|러닝화|신발|구두|shoe|sneaker/i],
  ["bag", /가방|배낭|bag/i],
  ["socks", /양말|sock/i],
  ["jacket", /재킷|자켓|코트|외투|jacket|coat/i],
  ["shirt", /셔츠|티셔츠|shirt/i],
  ["trousers", /바지|청|jeans|trousers/i],
  ["watch", /시계|watch/i],
];

/** How many tints there are. */
const TINTS = 6;

export function drawingOf(name: string): Drawing {
  return SIGNS.find(([, sign]) => sign.test(name))?.[0] ?? "parcel";
}

export function tintOf(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9_973;
  return sum % TINTS;
}
