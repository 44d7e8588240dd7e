/**
 * The log of a run: what was said, and the text of each call as it streams. Owns how much of a long one is on the page: the
 * newest rows, and more when asked for. Text is appended, never drawn again.
 */

import { doing, isOver, rateOf } from "./calls.js";
import { fill, h, mark, say } from "./dom.js";
import { clock, duration, grouped, visible } from "./format.js";

/** @typedef {import("./entries.js").Entry} Entry */
/** @typedef {import("./calls.js").Call} Call */
/** @typedef {{entry: Entry, rows: number, element: HTMLElement, update: (now: number) => number}} Shown */

/** Rows kept on the page; a row is a line of text. */
export const ROWS = 2000;
/** Characters of one call kept on the page, the newest. */
const CHARACTERS = 200_000;
const NEAR_END = 48;

/** The log on the page. */
export class Log {
  constructor() {
    this.list = h("div", { class: "entries" });
    this.earlier = h("button", { type: "button", class: "more", hidden: true, on: { click: () => this.#showEarlier() } });
    this.element = h(
      "div",
      { class: "log", role: "log", "aria-live": "off", "aria-label": "What happens", tabindex: "0" },
      this.earlier,
      this.list,
    );
    this.wanted = "";
    /** @type {import("./state.js").Run | null} */
    this.run = null;
    /** @type {(entry: Entry) => boolean} */
    this.takes = () => true;
    /** @type {Shown[]} */
    this.shown = [];
    this.first = 0; // of the entries on the page
    this.next = -1; // behind the last one; below 0 before anything was drawn
    this.rows = 0;
    this.most = ROWS;
    this.version = -1;
    /** @type {{top: number, follows: boolean} | null} where it was left, while it is not on the page */
    this.left = null;
  }

  /** It goes from the page for a while, and is to come back as it is. */
  leave() {
    this.left = { top: this.element.scrollTop, follows: this.#isAtEnd() };
  }

  /**
   * @param {import("./state.js").Run} run
   * @param {number} now milliseconds, by the server's clock
   * @param {{node: string, candidate: number | null}} chosen only this step's entries; all where `node` is empty
   */
  show(run, now, chosen) {
    const wanted = `${run.run} ${chosen.node} ${chosen.candidate ?? ""}`;
    if (wanted !== this.wanted) {
      this.#reset();
      this.wanted = wanted;
      this.takes = takesOf(chosen);
    }
    this.run = run;
    if (this.left && !this.left.follows) this.element.scrollTop = this.left.top;
    const follows = this.left?.follows ?? this.#isAtEnd();
    this.left = null;
    for (const shown of this.shown) this.#update(shown, now);
    this.shown = this.shown.filter((shown) => !shown.entry.replaced);
    this.#appendNew(run.entries, now);
    this.#trim();
    mark(this.element, "aria-busy", String(run.phase === "running"));
    this.version = run.version;
    if (follows) this.element.scrollTop = this.element.scrollHeight;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #reset() {
    Object.assign(this, { shown: [], first: 0, next: -1, rows: 0, most: ROWS, version: -1, left: null });
    fill(this.list);
  }

  /** @param {Shown} shown @param {number} now */
  #update(shown, now) {
    const { entry } = shown;
    if (entry.replaced) {
      shown.element.remove();
      this.rows -= shown.rows;
    } else if (entry.version > this.version || (entry.call && !isOver(entry.call))) {
      const rows = shown.update(now);
      this.rows += rows - shown.rows;
      shown.rows = rows;
    }
  }

  /** @param {Entry[]} entries @param {number} now */
  #appendNew(entries, now) {
    if (this.next < 0) this.first = this.next = Math.max(0, entries.length - ROWS);
    const made = [];
    for (; this.next < entries.length; this.next += 1) made.push(...this.#made(entries[this.next], now));
    this.list.append(...made.map((shown) => shown.element));
    this.shown.push(...made);
  }

  /** @param {Entry} entry @param {number} now @returns {Shown[]} */
  #made(entry, now) {
    if (entry.replaced || !this.takes(entry)) return [];
    const shown = entry.call ? callShown(entry, entry.call) : lineShown(entry);
    shown.rows = shown.update(now);
    this.rows += shown.rows;
    return [shown];
  }

  #trim() {
    let gone = 0;
    while (this.rows > this.most && gone < this.shown.length - 1) {
      this.rows -= this.shown[gone].rows;
      this.shown[gone].element.remove();
      gone += 1;
    }
    if (gone) {
      this.shown.splice(0, gone);
      this.first = this.run?.entries.indexOf(this.shown[0].entry) ?? 0;
    }
    this.earlier.hidden = this.first === 0;
    say(this.earlier, `show earlier entries (${grouped(this.first)} more)`);
  }

  #showEarlier() {
    if (!this.run) return;
    const entries = this.run.entries;
    const until = this.first;
    this.first = Math.max(0, until - ROWS);
    const made = entries.slice(this.first, until).flatMap((entry) => this.#made(entry, 0));
    this.most = Math.max(this.most + ROWS, this.rows);
    const from = this.element.scrollHeight - this.element.scrollTop;
    this.list.prepend(...made.map((shown) => shown.element));
    this.shown.unshift(...made);
    this.element.scrollTop = this.element.scrollHeight - from;
    this.earlier.hidden = this.first === 0;
    say(this.earlier, `show earlier entries (${grouped(this.first)} more)`);
  }
}

/** @param {{node: string, candidate: number | null}} chosen @returns {(entry: Entry) => boolean} */
function takesOf({ node, candidate }) {
  if (!node) return () => true;
  if (node === "coder" && candidate === null) return (entry) => entry.candidate !== null;
  return (entry) => entry.node === node && entry.candidate === candidate;
}

/** @param {Entry} entry */
function whereOf(entry) {
  return h(
    "span",
    { class: "where" },
    entry.node.replace("_", " "),
    entry.candidate !== null && h("span", { class: "chip" }, entry.candidate),
  );
}

/** @param {Entry} entry @returns {Shown} */
function lineShown(entry) {
  const element = h(
    "p",
    { class: "entry", "data-tone": entry.tone || null },
    h("time", {}, clock(entry.at)),
    whereOf(entry),
    h("span", { class: "text" }, visible(entry.text)),
  );
  return { entry, rows: 1, element, update: () => 1 };
}

/** @param {Entry} entry @param {Call} call @returns {Shown} */
function callShown(entry, call) {
  const said = h("span", { class: "text" });
  const figures = h("span", { class: "figures" });
  const text = new CallText(call);
  const summary = h("summary", {}, h("time", {}, clock(entry.at)), whereOf(entry), said, figures);
  let touched = false; // a person opened or closed it, so it stays as they left it
  summary.addEventListener("click", () => (touched = true));
  const element = h("details", { class: "entry call" }, summary, text.element);
  element.addEventListener("toggle", () => element.open && text.show());
  const update = (/** @type {number} */ now) => {
    say(said, `${call.role} ${call.error || doing(call)}`);
    say(figures, figuresOf(call, now));
    mark(element, "data-state", call.state);
    if (!touched) element.open = call.state === "streaming";
    return element.open ? 1 + text.show() : 1;
  };
  return { entry, rows: 1, element, update };
}

/** @param {Call} call @param {number} now */
function figuresOf(call, now) {
  if (call.seconds) {
    const { load, prompt, decode } = call.seconds;
    const tokens = `${grouped(call.promptTokens)} + ${grouped(call.completionTokens)} tokens`;
    const speed = decode > 0.05 ? ` · ${grouped(call.completionTokens / decode)} tok/s` : "";
    return `${tokens} · ${duration(load + prompt + decode)}${speed}${call.finish === "length" ? " · cut at its limit" : ""}`;
  }
  const rate = rateOf(call, now);
  const tokens = call.characters ? `about ${grouped(call.characters / 4)} tokens` : "";
  return [tokens, rate ? `${rate.toFixed(0)} tok/s` : ""].filter(Boolean).join(" · ");
}

/** The text of one call, appended to as it grows. */
class CallText {
  /** @param {Call} call */
  constructor(call) {
    this.call = call;
    this.element = h("div", { class: "answer" });
    this.restarts = call.restarts;
    /** @type {{node: Text, shown: number}[]} */
    this.texts = [];
    this.rows = 0;
  }

  /** Bring it up to date; the number of its rows. */
  show() {
    const { parts, restarts } = this.call;
    if (restarts !== this.restarts) this.#restart();
    if (!parts.length) {
      if (isOver(this.call)) fill(this.element, h("p", { class: "empty" }, "The streamed text was not kept."));
      return 1;
    }
    parts.forEach((part, at) => this.#append(part, at));
    return this.rows;
  }

  #restart() {
    Object.assign(this, { restarts: this.call.restarts, texts: [], rows: 0 });
    fill(this.element);
  }

  /** @param {{thinking: boolean, text: string}} part @param {number} at */
  #append(part, at) {
    let known = this.texts[at];
    if (!known) {
      known = this.texts[at] = { node: document.createTextNode(""), shown: Math.max(0, part.text.length - CHARACTERS) };
      const held = h("pre", { class: part.thinking ? "thinking" : "written" }, known.node);
      if (part.thinking) this.element.append(h("p", { class: "label" }, "thinking"));
      if (known.shown) this.element.append(this.#whole(part, held));
      this.element.append(held);
      this.rows += 1;
    }
    if (part.text.length === known.shown) return;
    const added = visible(part.text.slice(known.shown));
    known.shown = part.text.length;
    known.node.appendData(added);
    this.rows += added.split("\n").length - 1;
  }

  /** @param {{text: string}} part @param {HTMLElement} held */
  #whole(part, held) {
    const show = () => {
      fill(held, visible(part.text));
      button.remove();
    };
    const button = h("button", { type: "button", class: "more", on: { click: show } }, "show the whole text");
    return button;
  }
}
