/**
 * Whether a question is there to be answered: it has stood for a while where it stands. A question that has just come, or
 * has just moved, lies under a pointer and a key that were meant for what was there before. Owns that time. Pure but for
 * the clock, and for what it is told of the place.
 */

/** Milliseconds: the second click of a double click, a key pressed twice, and a little for the eye. */
export const SETTLES = 700;
const EVERY = 100;
/** Pixels that are no move. */
const STILL = 3;

/** @typedef {{x: number, y: number}} Point */

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
    this.at = { x: NaN, y: NaN };
  }

  /** It comes, or something else than before answers it. */
  begin() {
    this.since = Infinity;
    this.#tell(false);
  }

  /** Look at it. @param {number} now @returns {boolean} whether it is there to be answered */
  look(now) {
    const { x, y } = this.place();
    if (this.since === Infinity || Math.abs(x - this.at.x) > STILL || Math.abs(y - this.at.y) > STILL) {
      this.since = now;
      this.at = { x, y };
    }
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

/** Where an element lies; a page that is scrolled by hand moves nothing. @param {HTMLElement} element @returns {Point} */
function placeOf(element) {
  const { left, top } = element.getBoundingClientRect();
  const scrolled = (element.closest("main")?.scrollTop ?? 0) + (document.scrollingElement?.scrollTop ?? 0);
  return { x: left, y: top + scrolled };
}
