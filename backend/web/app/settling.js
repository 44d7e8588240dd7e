/**
 * Whether a question is there to be answered: it has stood for a while where it stands. A question that has just come, or
 * has just moved, lies under a pointer and a key that were meant for what was there before. Owns that time, and the pause
 * that a key needs before it. Pure but for the clock, and for what it is told of the place.
 */

/** Milliseconds: the second click of a double click, a key pressed twice, and a little for the eye. */
export const SETTLES = 700;
const EVERY = 100;
/** Pixels that are no move. */
const STILL = 3;

/** @typedef {{x: number, y: number, scrolled: number}} Point where it is seen, and how far all around it is scrolled */

/** How long something has stood where it stands. */
export class Settling {
  /**
   * @param {() => Point} place where it is now
   * @param {(settled: boolean) => void} told when that changes
   */
  constructor(place, told) {
    this.place = place;
    this.told = told;
    this.settled = false;
    this.since = Infinity;
    /** @type {Point} */
    this.at = { x: NaN, y: NaN, scrolled: 0 };
  }

  /** It comes, or something else than before answers it. */
  begin() {
    this.since = Infinity;
    this.#tell(false);
  }

  /** Look at it. @param {number} now @returns {boolean} whether it is there to be answered */
  look(now) {
    const at = this.place();
    const byHand = this.at.scrolled - at.scrolled;
    const moved = this.since === Infinity || !isBetween(at.x - this.at.x, 0) || !isBetween(at.y - this.at.y, byHand);
    if (moved) this.since = now;
    if (moved || byHand) this.at = at;
    this.#tell(now - this.since >= SETTLES);
    return this.settled;
  }

  /**
   * Whether a click or a key press was meant for it: it was there when that was done, which a busy page may hear of late.
   * @param {{timeStamp: number, detail?: number}} event
   * @param {number} now
   */
  takes({ timeStamp, detail = 0 }, now) {
    return this.look(now) && timeStamp - this.since >= SETTLES && detail < 2;
  }

  /** @param {boolean} settled */
  #tell(settled) {
    if (settled === this.settled) return;
    this.settled = settled;
    this.told(settled);
  }
}

/**
 * The pause before a key. A letter that answers may be the next one of a text, whose field has just gone: it answers when
 * nothing was pressed, and no field was left, for as long as a question settles.
 */
export class Pause {
  constructor() {
    this.since = -Infinity;
  }

  /** A key was pressed, or a field left. @param {number} at when @returns {boolean} whether there was a pause before it */
  end(at) {
    const rested = at - this.since >= SETTLES;
    this.since = Math.max(this.since, at);
    return rested;
  }
}

/**
 * Watch an element for as long as it is on the page.
 * @param {HTMLElement} element
 * @param {(settled: boolean) => void} told
 * @returns {Settling}
 */
export function settling(element, told) {
  const settles = new Settling(() => placeOf(element), told);
  const timer = setInterval(() => {
    if (!element.isConnected) return clearInterval(timer);
    requestAnimationFrame(() => settles.look(performance.now())); // in a tab that is not seen it does not settle
  }, EVERY);
  return settles;
}

/** Whether something went the way that was scrolled, or a part of it, as what sticks to an edge does. @param {number} went @param {number} scrolled */
function isBetween(went, scrolled) {
  return went >= Math.min(0, scrolled) - STILL && went <= Math.max(0, scrolled) + STILL;
}

/** Where an element lies; all that scrolls around it counts. @param {Pick<Element, "getBoundingClientRect" | "parentElement">} element @returns {Point} */
export function placeOf(element) {
  const { left, top } = element.getBoundingClientRect();
  let scrolled = 0;
  for (let around = element.parentElement; around; around = around.parentElement) scrolled += around.scrollTop;
  return { x: left, y: top, scrolled };
}
