/**
 * The list of runs: newest first, searched, and kept up to date. Owns which runs are known and how one is shown in short.
 */

import { listRuns } from "./api.js";
import { runAddress } from "./address.js";
import { newestPages } from "./asking.js";
import { h, mark, say } from "./dom.js";
import { ago, prose, shortened, visible } from "./format.js";
import { Rail } from "./rail.js";
import { arrange } from "./renew.js";
import { TONES } from "./words.js";

/** @typedef {{run: string, task: string, repo: string, state: string, status: string, created: string, reason: string}} Summary */

/** @type {Record<string, (run: Summary) => boolean>} */
const FILTERS = {
  all: () => true,
  "at work": (run) => run.state === "running" || run.state === "queued",
  "needs you": (run) => run.state === "waiting" || run.state === "interrupted",
  ended: (run) => run.state === "finished",
};
/** @type {Record<string, [string, string, string]>} sign, word and tone of a state */
const STATES = {
  queued: ["○", "queued", "dim"],
  running: ["◐", "at work", "live"],
  waiting: ["?", "needs you", "warn"],
  interrupted: ["■", "interrupted", "warn"],
};
const SIGNS = { good: "✓", warn: "!", bad: "✕", dim: "·" };

/** How a run is shown in short. @param {Summary} run @returns {{sign: string, word: string, tone: string}} */
export function looksOf(run) {
  const known = STATES[run.state];
  if (known) return { sign: known[0], word: known[1], tone: known[2] };
  const tone = TONES[run.status] ?? "bad";
  return { sign: SIGNS[/** @type {keyof typeof SIGNS} */ (tone)] ?? "·", word: run.status, tone };
}

/** Whether a run is looked for. @param {Summary} run @param {string} search @param {string} filter */
export function isWanted(run, search, filter) {
  const text = `${run.task} ${run.repo} ${run.run} ${run.state} ${run.status}`.toLowerCase();
  return (FILTERS[filter] ?? FILTERS.all)(run) && search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** The newest page put over what is known; newest first. @param {Summary[]} known @param {Summary[]} page */
export function merged(known, page) {
  const all = new Map([...known, ...page].map((run) => [run.run, run]));
  return [...all.values()].sort((a, b) => (a.run < b.run ? 1 : -1)); // ids are in the order of time
}

/** The list on the page. */
export class RunList extends Rail {
  /** @param {import("./main.js").Shell} shell */
  constructor(shell) {
    const chips = Object.keys(FILTERS).map((name) => h("button", { type: "button", class: "chip", "data-filter": name, on: { click: () => this.#choose(name) } }, name));
    super(shell, { name: "Runs", search: "Search runs", searched: "Search the runs listed", older: "older runs", below: [h("div", { class: "chips" }, ...chips)] });
    this.chips = chips;
    /** @type {Summary[]} */
    this.runs = [];
    this.filter = "all";
    /** @type {Map<string, HTMLElement & {update: (run: Summary, now: number) => void}>} */
    this.items = new Map();
    this.draw();
    this.refresh();
  }

  async readNewest() {
    const newest = this.runs[0]?.run ?? "";
    const { pages, next, gap } = await newestPages(listRuns, (page) => !newest || page.runs[page.runs.length - 1].run <= newest);
    if (this.next === undefined || gap) this.next = next;
    this.runs = merged(gap ? [] : this.runs, pages.flatMap((page) => page.runs)); // behind a gap, older ones are asked for anew
  }

  /** @param {string} before */
  async readOlder(before) {
    const page = await listRuns(before);
    if (before !== this.next) return; // asked for twice
    this.next = page.next;
    this.runs = merged(this.runs, page.runs);
  }

  /** @param {string} name */
  #choose(name) {
    this.filter = name;
    this.draw();
  }

  draw() {
    const now = Date.now();
    const wanted = this.runs.filter((run) => isWanted(run, this.search.value, this.filter));
    arrange(this.list, wanted.map((run) => this.#item(run, now)));
    for (const chip of this.chips) mark(chip, "aria-pressed", String(chip.dataset.filter === this.filter));
    this.empty.hidden = wanted.length > 0;
    say(this.empty, this.runs.length ? "None of the runs listed is like that." : this.next === undefined ? "…" : "No run yet.");
    this.older.hidden = !this.next;
  }

  /** @param {Summary} run @param {number} now */
  #item(run, now) {
    const item = this.items.get(run.run) ?? newItem(run);
    this.items.set(run.run, item);
    item.update(run, now);
    const link = /** @type {Element} */ (item.firstElementChild);
    if (run.run === this.selected) mark(link, "aria-current", "page");
    else link.removeAttribute("aria-current");
    return item;
  }
}

/** @param {Summary} first */
function newItem(first) {
  const sign = h("span", { class: "sign", "aria-hidden": "true" });
  const task = h("span", { class: "task" }, shortened(prose(first.task), 120));
  const about = h("span", { class: "dim about" });
  const repo = visible(first.repo.split("/").filter(Boolean).at(-1) ?? "/");
  const link = h("a", { href: runAddress(first.run), title: visible(first.repo) }, sign, task, about);
  const item = h("li", {}, link);
  item.update = (/** @type {Summary} */ run, /** @type {number} */ now) => {
    const looks = looksOf(run);
    mark(item, "data-tone", looks.tone);
    say(sign, looks.sign);
    say(about, `${looks.word} · ${repo} · ${ago(Date.parse(run.created), now)}`);
  };
  return item;
}
