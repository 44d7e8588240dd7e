/**
 * Asking the server again and again. Owns that a slow line never has two of the same question under way, and that what came while
 * nobody looked leaves no gap in a list. Pure.
 */

/** Pages of a list that are read at most to close a gap. */
const MOST_PAGES = 10;

/**
 * The work, done once at a time. A call while it is under way does it once more behind that, as what it reads may be too old for
 * the caller; one that is only by the clock does not.
 * @param {() => Promise<void>} work
 * @returns {(byClock?: boolean) => Promise<void>}
 */
export function single(work) {
  let underWay = false;
  let again = false;
  return async (byClock = false) => {
    if (underWay) return void (again ||= !byClock);
    underWay = true;
    try {
      do {
        again = false;
        await work();
      } while (again);
    } finally {
      underWay = false;
    }
  };
}

/**
 * The pages of a list from its newest one to the first that reaches what is known, or to the end of the list.
 * @template {{next: string | null}} Page
 * @param {(before?: string) => Promise<Page>} read
 * @param {(page: Page) => boolean} reaches whether it holds what is known, or older entries
 * @returns {Promise<{pages: Page[], next: string | null, gap: boolean}>} `next`: of the last page; `gap`: it is further away than
 *   so many pages
 */
export async function newestPages(read, reaches) {
  const pages = [await read()];
  for (;;) {
    const last = pages[pages.length - 1];
    const reached = last.next === null || reaches(last);
    if (reached || pages.length === MOST_PAGES) return { pages, next: last.next, gap: !reached };
    pages.push(await read(last.next ?? ""));
  }
}
