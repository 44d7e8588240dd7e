/**
 * The pool: a strip at the foot of the page, and a page of its own. Owns asking for it.
 */

import { getPool } from "./api.js";
import { single } from "./asking.js";
import { h } from "./dom.js";
import { counted, duration, gibibytes, visible } from "./format.js";
import { renew } from "./renew.js";

const REFRESH = 2000;
/** @type {Record<string, [string, string]>} sign and tone */
const HEALTH = { up: ["●", "good"], down: ["✕", "bad"], unknown: ["○", "dim"] };

/** Asks for the pool while anybody looks, and tells who listens. */
export class PoolWatch {
  /** @param {import("./main.js").Shell} shell */
  constructor(shell) {
    this.shell = shell;
    /** @type {any} */
    this.pool = null;
    this.drawn = "";
    /** @type {((pool: any) => void) | null} */
    this.also = null;
    this.element = h("footer", { class: "pool", "aria-label": "Pool" }, h("a", { href: "#/pool", class: "strip" }, "pool …"));
    this.ask = single(() => this.#ask());
    setInterval(() => this.refresh(true), REFRESH);
    document.addEventListener("visibilitychange", () => this.refresh());
    this.refresh();
  }

  /** @param {boolean} [byClock] and not because somebody looks again */
  async refresh(byClock = false) {
    if (!document.hidden && !this.shell.signedOut) await this.ask(byClock);
  }

  async #ask() {
    try {
      const pool = await getPool();
      this.shell.reached();
      const said = JSON.stringify(pool);
      if (said === this.drawn) return;
      this.drawn = said;
      this.pool = pool;
      renew(this.element, stripOf(pool));
      this.also?.(pool);
    } catch (error) {
      this.shell.problem(error, { quiet: true });
    }
  }
}

/** The page of the pool. */
export class PoolView {
  /** @param {import("./main.js").Shell} shell */
  constructor(shell) {
    this.watch = shell.pool;
    this.element = h("article", { class: "poolview" });
    this.watch.also = (pool) => renew(this.element, ...details(pool));
    if (this.watch.pool) this.watch.also(this.watch.pool);
    document.title = "Pool · Corral";
  }

  update() {}

  close() {
    this.watch.also = null;
    this.element.remove();
  }
}

/** @param {any} pool */
function stripOf(pool) {
  const queued = sum(pool.queued);
  return h(
    "a",
    { href: "#/pool", class: "strip" },
    ...pool.servers.map(serverStrip),
    !pool.servers.length && h("span", {}, "no server"),
    h("span", { class: "queue" }, queued ? `${counted(queued, "call")} queued` : "queue empty"),
    pool.draining && h("span", { class: "chip", "data-tone": "warn" }, "draining"),
  );
}

/** @param {any} server */
function serverStrip(server) {
  const [sign, tone] = HEALTH[server.health] ?? HEALTH.unknown;
  const loaded = server.loaded.map((/** @type {any} */ model) => model.model).join(", ");
  return h(
    "span",
    { class: "server" },
    h("span", { class: "sign", "data-tone": tone, title: server.health }, sign),
    h("strong", {}, visible(server.label)),
    server.health === "down" && h("span", { "data-tone": "bad" }, "down"),
    h("span", { class: "dim loaded" }, loaded ? visible(loaded) : "no model loaded"),
    pips(server.in_flight, Math.max(server.slots, server.in_flight)),
  );
}

/** Slots as boxes, the busy ones full. @param {number} busy @param {number} slots */
function pips(busy, slots) {
  const shown = Math.min(slots, 16);
  const boxes = Array.from({ length: shown }, (_, at) => h("i", { class: at < busy ? "pip busy" : "pip" }));
  return h("span", { class: "pips", role: "img", "aria-label": `${busy} of ${slots} slots busy`, title: `${busy} of ${slots} slots busy` }, ...boxes);
}

/** @param {any} pool */
function details(pool) {
  const { queued, in_flight: flying, calls, clients } = pool;
  const bands = Object.keys(queued);
  return [
    h("h1", {}, "Pool"),
    h(
      "div",
      { class: "card" },
      h("h2", {}, "Calls"),
      table(["", ...bands], [["queued", ...bands.map((band) => queued[band])], ["in flight", ...bands.map((band) => flying[band])]]),
      h("p", { class: "dim" }, `${calls.done} done · ${calls.failed} failed · ${calls.cancelled} cancelled · ${calls.preempted} preempted · ${calls.moved} moved to another server`),
      Object.keys(clients).length > 0 && h("p", { class: "dim" }, `by client: ${Object.entries(clients).map(([name, count]) => `${visible(name)} ${count}`).join(" · ")}`),
    ),
    ...pool.servers.map(serverDetails),
  ];
}

/** @param {any} server */
function serverDetails(server) {
  const [sign, tone] = HEALTH[server.health] ?? HEALTH.unknown;
  return h(
    "section",
    { class: "card" },
    h("h2", {}, h("span", { class: "sign", "data-tone": tone }, sign), ` ${visible(server.label)} `, h("span", { class: "dim" }, visible(server.url))),
    h("p", { class: "dim" }, `${server.health}${server.reason ? `: ${visible(server.reason)}` : ""} · ${counted(server.slots, "slot")} a lane · ${server.in_flight} in flight · ${server.models ? counted(server.models.length, "model") : "models not known yet"}`),
    server.loaded.length > 0 && table(["in memory", "size", "on the GPU", "window"], server.loaded.map(loadedRow)),
    server.lanes.length > 0 && table(["lane", "free", "busy", "letting go", "first byte", "prompt", "decode", "calls", "failed"], server.lanes.map(laneRow)),
  );
}

/** @param {any} model */
function loadedRow(model) {
  const share = model.size ? Math.round((model.size_vram / model.size) * 100) : 0;
  const where = share >= 100 ? "all" : share ? `${share} %; the rest runs on the CPU` : "none; it runs on the CPU";
  return [visible(model.model), gibibytes(model.size), where, model.context_length ?? "not told"];
}

/** @param {any} lane */
function laneRow(lane) {
  const { figures } = lane;
  const speed = (/** @type {number} */ value) => (value ? `${value.toFixed(0)} tok/s` : "");
  return [visible(lane.lane), lane.free, lane.busy, lane.cancelling, figures.calls ? duration(figures.first_byte_seconds) : "", speed(figures.prompt_tokens_per_second), speed(figures.decode_tokens_per_second), figures.calls, figures.failures];
}

/** @param {string[]} heads @param {(string | number)[][]} rows */
function table(heads, rows) {
  const head = h("tr", {}, ...heads.map((name) => h("th", { scope: "col" }, name)));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heads[0] || "Calls" }, h("table", { class: "plain" }, h("thead", {}, head), h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell)))))));
}

/** @param {Record<string, number>} counts */
function sum(counts) {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
