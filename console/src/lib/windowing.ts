// Which rows of a long list are worth rendering: those in sight and a few around them.

export interface Window {
  first: number;
  /** Behind the last one. */
  end: number;
  /** The space of the rows before, in pixels. */
  before: number;
  /** The space of the rows behind, in pixels. */
  behind: number;
}

const MARGIN = 8;

/** The rows of `total`, each `height` pixels high, that a view of `seen` pixels shows at `scrolled`. */
export function rowsInSight(total: number, height: number, scrolled: number, seen: number): Window {
  const first = Math.max(0, Math.min(Math.floor(scrolled / height) - MARGIN, total));
  const end = Math.min(total, Math.ceil((scrolled + seen) / height) + MARGIN);
  return { first, end, before: first * height, behind: (total - end) * height };
}
