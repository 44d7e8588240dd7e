/**
 * A list beside the view. Owns its frame, which entry is the open one, the way along it by keys, and that older entries come
 * when they are asked for. What an entry is, and which are shown, is the list's that is made of it.
 */

import { single } from "./asking.js";
import { h } from "./dom.js";

const REFRESH = 3000;

/** @typedef {HTMLElement & {type?: string}} Part */

/** A list on the page. */
export class Rail {
  /**
   * @param {import("./main.js").Shell} shell
   * @param {{name: string, search: string, searched: string, older: string, above?: Part[], below?: Part[]}} words
   *   `name` of the list, what its `search` asks for and is `searched`; what stands `above` that and `below` it
   */
  constructor(shell, { name, search, searched, older, above = [], below = [] }) {
    this.shell = shell;
    /** @type {string | null | undefined} of the oldest page; null at the end, undefined before the first */
    this.next = undefined;
    this.selected = "";
    this.search = h("input", { type: "search", placeholder: search, "aria-label": searched, autocomplete: "off", on: { input: () => this.typed(), keydown: (/** @type {KeyboardEvent} */ event) => this.#leave(event) } });
    this.list = h("ol", { class: "runs" });
    this.older = h("button", { type: "button", class: "more", hidden: true, on: { click: () => this.#loadOlder() } }, older);
    this.empty = h("p", { class: "empty", hidden: true });
    this.element = h("nav", { class: "rail", "aria-label": name }, ...above, h("div", { class: "search" }, this.search, h("kbd", { "aria-hidden": "true" }, "/")), ...below, this.list, this.empty, this.older);
    this.ask = single(() => this.#ask());
    setInterval(() => this.refresh(true), REFRESH);
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** The entry that is open. @param {string} id */
  select(id) {
    this.selected = id;
    this.draw();
  }

  /** Move the focus along the list. @param {1 | -1} way */
  move(way) {
    const links = [...this.list.querySelectorAll("a")];
    const at = links.indexOf(/** @type {any} */ (document.activeElement));
    const from = at >= 0 ? at : links.findIndex((link) => link.getAttribute("aria-current") === "page");
    links[Math.min(links.length - 1, Math.max(0, from + way))]?.focus();
  }

  /** Begin to search, in place of what was searched. */
  find() {
    this.search.focus();
    this.search.select();
  }

  /** Ask for the newest entries, unless nobody would see them. @param {boolean} [byClock] and not because something changed */
  async refresh(byClock = false) {
    if (document.hidden || this.shell.signedOut || !this.isShown) return;
    await this.ask(byClock);
  }

  async #ask() {
    try {
      await this.readNewest();
      this.shell.reached();
      this.draw();
    } catch (error) {
      this.shell.problem(error, { quiet: true });
    }
  }

  /** What was typed stays, so that what it found can be walked along. @param {KeyboardEvent} event */
  #leave(event) {
    if (event.key !== "Escape") return;
    event.preventDefault(); // some browsers would empty the field
    this.shell.main.focus();
  }

  async #loadOlder() {
    try {
      await this.readOlder(this.next ?? "");
      this.draw();
    } catch (error) {
      this.shell.problem(error);
    }
  }

  /** Whether it is kept up to date now. */
  get isShown() {
    return true;
  }

  /** Something was typed into the search. */
  typed() {
    this.draw();
  }

  /** Ask for the newest page, and take it in. @returns {Promise<void>} */
  async readNewest() {
    throw new Error("a list says what it lists");
  }

  /** Ask for the page before, and take it in. @param {string} before @returns {Promise<void>} */
  async readOlder(before) {
    throw new Error(`a list says what it lists before ${before}`);
  }

  /** Show what is known. */
  draw() {}
}
