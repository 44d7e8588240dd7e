/**
 * Batches: the list, and one batch with its figures. Owns asking for them while anybody looks.
 */

import { getBatch, listBatches } from "./api.js";
import { fill, h } from "./dom.js";
import { ago, counted, duration, grouped, visible } from "./format.js";
import { TONES } from "./words.js";

const REFRESH = 2000;

/** The page of all batches, or of one. */
export class BatchesView {
  /** @param {import("./main.js").Shell} shell @param {import("./address.js").Place} place */
  constructor(shell, place) {
    this.shell = shell;
    this.id = place.id;
    this.body = h("div", { class: "stack" });
    this.element = h("article", { class: "batches" }, h("h1", {}, "Batches"), this.body);
    this.timer = setInterval(() => this.refresh(), REFRESH);
    document.title = "Batches · Corral";
    this.refresh();
  }

  /** @param {import("./address.js").Place} place */
  update(place) {
    this.id = place.id;
    this.refresh();
  }

  close() {
    clearInterval(this.timer);
    this.element.remove();
  }

  async refresh() {
    if (document.hidden || this.shell.signedOut) return;
    try {
      const batches = this.id ? [await getBatch(this.id)] : (await listBatches()).batches;
      fill(this.body, ...(batches.length ? batches.map(batchCard) : [h("p", { class: "empty card" }, "There is no batch yet. In a terminal, `corral batch jobs.jsonl --out out/` begins one.")]));
    } catch (error) {
      this.shell.problem(error, { quiet: true });
    }
  }
}

/** @typedef {{id: string, name: string, jobs: number, out: string, state: string, done: number, failed: number, running: number, rate_per_hour: number | null, eta_seconds: number | null, started: string, updated: string, statuses: Record<string, number>, note: string}} Batch */

/** @type {Record<string, string>} */
const STATE_TONES = { running: "live", waiting: "warn", interrupted: "warn", stopped: "bad", finished: "good" };

/** @param {Batch} batch */
function batchCard(batch) {
  const through = batch.done + batch.failed;
  const figures = [
    `${grouped(through)} of ${counted(batch.jobs, "job")}`,
    batch.running ? `${batch.running} at work` : "",
    batch.rate_per_hour === null ? "" : `${grouped(batch.rate_per_hour)} an hour`,
    batch.eta_seconds === null ? "" : `${duration(batch.eta_seconds)} left`,
    `begun ${ago(Date.parse(batch.started), Date.now())}`,
  ];
  const statuses = Object.entries(batch.statuses).filter(([, count]) => count);
  return h(
    "section",
    { class: "card batch" },
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
  );
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
