/**
 * Batches: the list, and one batch with its figures. Owns asking for them while anybody looks.
 */

import { getBatch, listBatches, Problem } from "./api.js";
import { single } from "./asking.js";
import { h } from "./dom.js";
import { ago, counted, duration, grouped, visible } from "./format.js";
import { showNothing } from "./nowhere.js";
import { arrange, renew } from "./renew.js";
import { TONES } from "./words.js";

const REFRESH = 2000;

/** The page of all batches, or of one. */
export class BatchesView {
  /** @param {import("./main.js").Shell} shell @param {import("./address.js").Place} place */
  constructor(shell, place) {
    this.shell = shell;
    this.id = place.id;
    this.closed = false;
    /** @type {any} */
    this.timer = null;
    /** @type {Map<string, HTMLElement>} */
    this.cards = new Map();
    this.none = h("p", { class: "empty card" }, "There is no batch yet. In a terminal, `corral batch jobs.jsonl --out out/` begins one.");
    this.body = h("div", { class: "stack" });
    this.element = h("article", { class: "batches" });
    this.ask = single(() => this.#ask());
    this.#begin();
  }

  #begin() {
    clearInterval(this.timer);
    this.timer = setInterval(() => this.refresh(true), REFRESH);
    this.element.replaceChildren(h("h1", {}, "Batches"), this.body);
    document.title = "Batches · Corral";
    this.refresh();
  }

  /** @param {import("./address.js").Place} place */
  update(place) {
    if (this.id === place.id) return;
    this.id = place.id;
    this.#begin();
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.element.remove();
  }

  /** @param {boolean} [byClock] and not because another is to be shown */
  async refresh(byClock = false) {
    if (!document.hidden && !this.shell.signedOut) await this.ask(byClock);
  }

  async #ask() {
    const { id } = this;
    try {
      /** @type {Batch[]} */
      const batches = id ? [await getBatch(id)] : (await listBatches()).batches;
      if (this.closed || id !== this.id) return;
      this.shell.reached();
      arrange(this.body, batches.length ? batches.map((batch) => this.#card(batch)) : [this.none]);
    } catch (error) {
      if (this.closed || id !== this.id) return;
      if (id && error instanceof Problem && error.status === 404) return this.#unknown(error);
      this.shell.problem(error, { quiet: true });
    }
  }

  /** @param {Batch} batch */
  #card(batch) {
    const card = this.cards.get(batch.id) ?? h("section", { class: "card batch" });
    this.cards.set(batch.id, card);
    renew(card, ...told(batch));
    return card;
  }

  /** @param {Problem} error */
  #unknown(error) {
    clearInterval(this.timer);
    showNothing(this.element, "There is no such batch", error.message);
  }
}

/** @typedef {{id: string, name: string, jobs: number, out: string, state: string, done: number, failed: number, running: number, rate_per_hour: number | null, eta_seconds: number | null, started: string, updated: string, statuses: Record<string, number>, note: string}} Batch */

/** @type {Record<string, string>} */
const STATE_TONES = { running: "live", waiting: "warn", interrupted: "warn", stopped: "bad", finished: "good" };

/** What a card says. @param {Batch} batch */
function told(batch) {
  const through = batch.done + batch.failed;
  const figures = [
    `${grouped(through)} of ${counted(batch.jobs, "job")}`,
    batch.running ? `${batch.running} at work` : "",
    batch.rate_per_hour === null ? "" : `${grouped(batch.rate_per_hour)} an hour`,
    batch.eta_seconds === null ? "" : `${duration(batch.eta_seconds)} left`,
    `begun ${ago(Date.parse(batch.started), Date.now())}`,
  ];
  const statuses = Object.entries(batch.statuses).filter(([, count]) => count);
  return [
    h(
      "h2",
      {},
      h("a", { href: `#/batches/${encodeURIComponent(batch.id)}` }, visible(batch.name || batch.id)),
      " ",
      h("span", { class: "chip", "data-tone": STATE_TONES[batch.state] ?? "dim" }, batch.state),
    ),
    progress(batch),
    h("p", {}, figures.filter(Boolean).join(" · ")),
    statuses.length > 0 && h("p", { class: "chips" }, ...statuses.map(([name, count]) => h("span", { class: "chip", "data-tone": TONES[name] ?? "dim" }, `${grouped(count)} ${name}`))),
    batch.note && h("p", { "data-tone": "warn" }, visible(batch.note)),
    h("p", { class: "dim" }, "records in ", h("code", {}, visible(batch.out))),
  ];
}

/** @param {Batch} batch */
function progress({ jobs, done, failed, running }) {
  const row = h("div", { class: "bar", role: "img", "aria-label": `${done} good, ${failed} not, ${running} at work, of ${jobs}` });
  for (const [name, count] of /** @type {[string, number][]} */ ([["passed", done], ["failed", failed], ["decode", running]])) {
    if (!count) continue;
    const part = h("span", { class: `part ${name}` });
    part.style.width = `${(count / Math.max(1, jobs)) * 100}%`;
    row.append(part);
  }
  return row;
}
