/**
 * The page of one run. Owns its state, its stream, and what is drawn of it in each frame.
 */

import { ApprovalCard } from "./approval.js";
import { getRun, getRunTimed, Problem } from "./api.js";
import { runAddress } from "./address.js";
import { Head } from "./head.js";
import { diffElement, stepHunk } from "./diff.js";
import { eachFrame, fill, h, mark, say } from "./dom.js";
import { Graph } from "./graph.js";
import { Log } from "./log.js";
import { showNothing } from "./nowhere.js";
import { renew } from "./renew.js";
import { fold, newRun } from "./state.js";
import { Stream, eventsOf } from "./stream.js";
import { testsElement } from "./tests.js";
import { timelineElement } from "./timeline.js";
import { newsOf } from "./news.js";

/** @typedef {import("./main.js").Shell} Shell */

/** Events that change how the run stands in the list. */
const TURNS = new Set(["run.started", "run.interrupted", "run.finished", "approval.asked"]);
/** Milliseconds. */
const NEW = 5000;
const TABS = { log: "Log", diff: "Diff", tests: "Tests", timeline: "Timeline" };

/** One run on the page. */
export class RunView {
  /** @param {Shell} shell @param {import("./address.js").Place} place */
  constructor(shell, place) {
    this.shell = shell;
    this.place = place;
    this.state = newRun(place.id);
    /** @type {any} the server's own view of it, with the result where there is one */
    this.view = null;
    /** @type {import("./stream.js").Link} */
    this.linkNow = "connecting";
    /** @type {number | null} how far this machine's clock is ahead of the server's, in milliseconds; null while nobody knows */
    this.skew = null;
    this.patch = "";
    this.drawn = "";
    this.loaded = false;
    this.over = false; // closed, or there is no such run
    this.graph = new Graph((chosen) => this.#choose(chosen));
    this.log = new Log();
    this.approval = new ApprovalCard(place.id, (error) => shell.problem(error));
    this.head = new Head(place.id, shell);
    this.tabs = Object.entries(TABS).map(([tab, name], at) =>
      h("a", { role: "tab", id: `tab-${tab}`, "aria-controls": "panel", "data-tab": tab, title: `${name} (${at + 1})` }, name),
    );
    this.filter = h("p", { class: "filter", hidden: true });
    this.panel = h("div", { role: "tabpanel", id: "panel" });
    this.element = h(
      "article",
      { class: "run" },
      this.head.element,
      this.approval.element,
      h("section", { class: "card graphcard", "aria-label": "Graph" }, this.graph.element),
      h(
        "section",
        { class: "card" },
        h("div", { role: "tablist", "aria-label": "Of this run", on: { keydown: (/** @type {KeyboardEvent} */ e) => this.#arrows(e) } }, ...this.tabs),
        this.filter,
        this.panel,
      ),
    );
    this.soon = eachFrame(() => this.#draw());
    this.timer = setInterval(this.soon, 1000);
    this.stream = new Stream(eventsOf(place.id), {
      event: (event) => this.#event(event),
      link: (link) => this.#link(link),
      refused: () => this.#refused(),
    });
    this.soon();
  }

  /** @param {import("./address.js").Place} place of the same run */
  update(place) {
    this.place = place;
    this.drawn = "";
    this.soon();
  }

  close() {
    this.#rest();
    this.head.close();
    this.element.remove();
  }

  #rest() {
    this.over = true;
    clearInterval(this.timer);
    this.stream.close();
  }

  /** The keys of this view. @param {string} key @param {KeyboardEvent} event @returns {boolean} whether it was one */
  key(key, event) {
    const tab = Object.keys(TABS)[Number(key) - 1];
    if (tab) this.#go({ tab });
    else if (key === "a" && this.state.approval) this.approval.press(event, true);
    else if (key === "n" && this.state.approval) this.approval.press(event, false);
    else if (key === ".") this.head.askToStop();
    else if (key === "[" || key === "]") stepHunk(this.shell.main, key === "]" ? 1 : -1);
    else return false;
    return true;
  }

  get tab() {
    return this.place.query.tab in TABS ? this.place.query.tab : "log";
  }

  get chosen() {
    const { node = "", candidate = "" } = this.place.query;
    return { node, candidate: candidate === "" ? null : Number(candidate) };
  }

  get now() {
    return Date.now() - (this.skew ?? 0);
  }

  /** @param {import("./words.js").RunEvent} event */
  #event(event) {
    if (!fold(this.state, event)) return;
    if (this.#isNew()) this.shell.tell(newsOf(this.state, event));
    if (event.kind === "run.finished") this.#load();
    if (TURNS.has(event.kind) && this.#isNew()) this.shell.list.refresh();
    this.soon();
  }

  /** Whether the newest event has just happened, and is not an old one that is read again. Without the server's clock none is. */
  #isNew() {
    return this.skew !== null && this.now - this.state.at < NEW;
  }

  /** @param {import("./stream.js").Link} link */
  #link(link) {
    this.linkNow = link;
    if (link === "live" && !this.loaded) this.#load();
    if (link === "ended") this.#load();
    this.soon();
  }

  /** The stream was refused: find out why. @returns {Promise<boolean>} whether to go on trying */
  async #refused() {
    try {
      await getRun(this.state.run);
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 404) this.#unknown(error);
      else this.shell.problem(error);
      return error.status !== 404 && !error.signedOut;
    }
  }

  /** @param {Problem} error */
  #unknown(error) {
    if (this.over) return;
    this.#rest();
    showNothing(this.element, "There is no such run", error.message);
  }

  async #load() {
    if (this.over) return;
    try {
      const { view, skew } = await getRunTimed(this.state.run);
      this.view = view;
      this.skew ??= skew;
      this.loaded = true;
      this.patch = this.view.result?.patch ?? "";
    } catch (error) {
      this.shell.problem(error);
    }
    this.soon();
  }

  /** @param {import("./graph.js").Chosen} chosen */
  #choose(chosen) {
    const now = this.chosen;
    const same = chosen.node === now.node && chosen.candidate === now.candidate;
    this.#go(same ? { node: "", candidate: "" } : { tab: "log", node: chosen.node, candidate: String(chosen.candidate ?? "") });
  }

  /** @param {Record<string, string>} query */
  #go(query) {
    location.replace(runAddress(this.state.run, { ...this.place.query, ...query }));
  }

  /** @param {KeyboardEvent} event */
  #arrows(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const at = this.tabs.findIndex((tab) => tab.dataset.tab === this.tab);
    const next = this.tabs[(at + way + this.tabs.length) % this.tabs.length];
    next.focus();
    this.#go({ tab: next.dataset.tab });
  }

  #draw() {
    if (this.over) return;
    const { state, now } = this;
    this.head.show({ state, view: this.view, link: this.linkNow, now, patch: this.patch });
    this.approval.show(state);
    this.graph.show(state, now, this.chosen);
    this.#drawTabs();
    this.#drawPanel(now);
    const sign = { waiting: "? ", running: "◐ ", finished: "", interrupted: "■ ", queued: "" }[state.phase];
    document.title = `${sign}${state.task.slice(0, 60) || "run"} · Corral`;
  }

  #drawTabs() {
    const { tab, chosen } = this;
    for (const each of this.tabs) {
      const selected = each.dataset.tab === tab;
      mark(each, "href", runAddress(this.state.run, { ...this.place.query, tab: each.dataset.tab }));
      mark(each, "aria-selected", String(selected));
      mark(each, "tabindex", selected ? "0" : "-1");
    }
    mark(this.panel, "aria-labelledby", `tab-${tab}`);
    mark(this.panel, "data-tab", tab);
    this.filter.hidden = !chosen.node || tab !== "log";
    const step = `${chosen.node.replace("_", " ")}${chosen.candidate === null ? "" : ` of candidate ${chosen.candidate}`}`;
    const said = `only ${step}`;
    if (this.filter.dataset.said === said) return;
    this.filter.dataset.said = said;
    const all = h("button", { type: "button", on: { click: () => this.#go({ node: "", candidate: "" }) } }, "show everything");
    fill(this.filter, `${said} `, all);
  }

  /** @param {number} now */
  #drawPanel(now) {
    const { state, tab } = this;
    const wasLog = this.panel.firstChild === this.log.element;
    if (tab === "log") {
      if (!wasLog) fill(this.panel, this.log.element);
      return this.log.show(state, now, this.chosen);
    }
    if (wasLog) this.log.leave();
    const running = tab === "timeline" && state.phase === "running";
    const key = { diff: `${this.patch.length} ${state.approval?.approval ?? ""} ${state.phase}`, tests: `${state.tests.size} ${state.chosen?.status ?? ""} ${state.phase} ${state.execution}` }[tab];
    const drawn = `${tab} ${key ?? state.version}`;
    if (drawn === this.drawn && !running) return;
    const another = wasLog || !this.drawn.startsWith(`${tab} `);
    this.drawn = drawn;
    if (tab === "diff") fill(this.panel, this.#diff());
    else if (tab === "tests") fill(this.panel, testsElement(state));
    else if (another) fill(this.panel, timelineElement(state, now));
    else renew(this.panel, timelineElement(state, now));
  }

  #diff() {
    if (this.patch) return diffElement(this.patch);
    if (this.state.approval?.gate === "patch") return h("p", { class: "empty" }, "The patch is shown above, where you are asked about it.");
    const over = this.state.phase === "finished";
    return h("p", { class: "empty" }, over ? "This run has no patch." : "There is no patch yet. It comes when a candidate was chosen.");
  }
}
