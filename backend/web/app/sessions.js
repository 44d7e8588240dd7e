/**
 * The list of conversations: those that changed last first, searched by the server, and kept up to date.
 */

import { sessionAddress } from "./address.js";
import { listApprovals, listSessions } from "./api.js";
import { fill, h, mark, say } from "./dom.js";
import { ago, shortened, visible } from "./format.js";

/** @typedef {{session: string, title: string, workspace: string, agent: string, last: number, updated: string}} Summary */

const REFRESH = 3000;
const SEARCH_AFTER = 250;

/** The newest page put over what is known; what changed last first. @param {Summary[]} known @param {Summary[]} page */
export function joined(known, page) {
  const all = new Map([...known, ...page].map((each) => [each.session, each]));
  return [...all.values()].sort((a, b) => (a.updated === b.updated ? (a.session < b.session ? 1 : -1) : a.updated < b.updated ? 1 : -1));
}

/** What a conversation is called. @param {{title: string, session: string}} session */
export const titleOf = ({ title, session }) => shortened(visible(title), 120) || `conversation ${session.slice(0, 8)}`;

/** The list on the page. */
export class SessionList {
  /** @param {import("./main.js").Shell} shell */
  constructor(shell) {
    this.shell = shell;
    /** @type {Summary[]} */
    this.known = [];
    /** @type {Summary[] | null} what was looked for */
    this.found = null;
    /** @type {Map<string, string>} where it was found */
    this.excerpts = new Map();
    /** @type {Set<string>} those that wait for a person */
    this.asking = new Set();
    /** @type {string | null | undefined} of the oldest page; null at the end, undefined before the first */
    this.next = undefined;
    this.selected = "";
    /** @type {any} */
    this.timer = null;
    this.search = h("input", { type: "search", placeholder: "Search conversations", "aria-label": "Search titles and messages", autocomplete: "off", on: { input: () => this.#typed() } });
    this.list = h("ol", { class: "runs" });
    this.older = h("button", { type: "button", class: "more", hidden: true, on: { click: () => this.#loadOlder() } }, "older conversations");
    this.empty = h("p", { class: "empty", hidden: true });
    this.element = h(
      "nav",
      { class: "rail", "aria-label": "Conversations" },
      h("a", { href: "#/sessions", class: "button new" }, "New conversation"),
      h("div", { class: "search" }, this.search, h("kbd", { "aria-hidden": "true" }, "/")),
      this.list,
      this.empty,
      this.older,
    );
    setInterval(() => this.refresh(), REFRESH);
    document.addEventListener("visibilitychange", () => this.refresh());
    this.#draw();
  }

  /** Ask for the newest, where the list is on the page. */
  async refresh() {
    if (document.hidden || this.shell.signedOut || !this.element.isConnected) return;
    try {
      const [page, { approvals }] = await Promise.all([listSessions(), listApprovals()]);
      if (this.next === undefined) this.next = page.next;
      // what is not on the newest page and newer than its end was deleted
      const end = page.sessions.at(-1)?.updated ?? "";
      this.known = joined(page.next ? this.known.filter((each) => each.updated < end) : [], page.sessions);
      this.asking = new Set(approvals.map((/** @type {{owner: string}} */ each) => each.owner));
      this.shell.reached();
      this.#draw();
    } catch (error) {
      this.shell.problem(error, { quiet: true });
    }
  }

  /** @param {string} session */
  select(session) {
    this.selected = session;
    this.#draw();
  }

  /** Move the focus along the list. @param {1 | -1} way */
  move(way) {
    const links = [...this.list.querySelectorAll("a")];
    const at = links.indexOf(/** @type {any} */ (document.activeElement));
    const from = at >= 0 ? at : links.findIndex((link) => link.getAttribute("aria-current") === "page");
    links[Math.min(links.length - 1, Math.max(0, from + way))]?.focus();
  }

  async #loadOlder() {
    try {
      const page = await listSessions({ before: this.next ?? "" });
      this.next = page.next;
      this.known = joined(this.known, page.sessions);
      this.#draw();
    } catch (error) {
      this.shell.problem(error);
    }
  }

  #typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#look(), SEARCH_AFTER);
  }

  async #look() {
    const text = this.search.value.trim();
    try {
      const page = text ? await listSessions({ search: text }) : null;
      if (text !== this.search.value.trim()) return; // typed on
      this.found = page?.sessions ?? null;
      this.excerpts = new Map((page?.found ?? []).filter((/** @type {any} */ each) => each.number).map((/** @type {any} */ each) => [each.session, each.excerpt]));
      this.#draw();
    } catch (error) {
      this.shell.problem(error);
    }
  }

  #draw() {
    const now = Date.now();
    const shown = this.found ?? this.known;
    const focused = document.activeElement?.getAttribute("href");
    fill(this.list, ...shown.map((each) => this.#item(each, now)));
    if (focused) /** @type {HTMLElement | undefined} */ ([...this.list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused))?.focus();
    this.empty.hidden = shown.length > 0;
    say(this.empty, this.found ? "Nothing is found." : this.next === undefined ? "…" : "No conversation yet.");
    this.older.hidden = !this.next || this.found !== null;
  }

  /** @param {Summary} session @param {number} now */
  #item(session, now) {
    const asks = this.asking.has(session.session);
    const folder = session.workspace.split("/").filter(Boolean).at(-1);
    const about = [asks && "needs you", session.agent, folder, ago(Date.parse(session.updated), now)].filter(Boolean).join(" · ");
    const excerpt = this.excerpts.get(session.session);
    const link = h(
      "a",
      { href: sessionAddress(session.session), title: visible(session.workspace) },
      h("span", { class: "sign", "aria-hidden": "true" }, asks ? "?" : "·"),
      h("span", { class: "task" }, titleOf(session)),
      h("span", { class: "dim about" }, visible(about)),
      this.found && excerpt && h("span", { class: "dim about excerpt" }, shortened(visible(excerpt), 160)),
    );
    if (session.session === this.selected) mark(link, "aria-current", "page");
    return h("li", { "data-tone": asks ? "warn" : "dim" }, link);
  }
}
