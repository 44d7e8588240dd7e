/**
 * Batches: the list, and one batch with its figures. Owns asking for them while anybody looks.
 */

import { getBatch, listBatches } from "./api.js";
import { fill, h } from "./dom.js";
import { visible } from "./format.js";

const REFRESH = 2000;

/** The page of all batches, or of one. */
export class BatchesView {
  /** @param {import("./main.js").Shell} shell @param {import("./address.js").Place} place */
  constructor(shell, place) {
    this.shell = shell;
    this.id = place.id;
    this.body = h("div");
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
      fill(this.body, ...(batches.length ? batches.map(batchCard) : [h("p", { class: "empty card" }, "No batch runs in this engine. `corral batch jobs.jsonl --out out/` starts one.")]));
    } catch (error) {
      this.shell.problem(error, { quiet: true });
    }
  }
}

/** @param {any} batch */
function batchCard(batch) {
  return h("section", { class: "card" }, h("h2", {}, visible(String(batch.id ?? batch.batch))));
}
