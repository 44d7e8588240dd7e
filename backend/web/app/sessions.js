/**
 * The list of conversations: those that changed last first, searched by the server, and kept up to date.
 */

import { sessionAddress } from "./address.js";
import { listApprovals, listSessions } from "./api.js";
import { fill, h, mark, say } from "./dom.js";
import { ago, shortened, visible } from "./format.js";
import { Rail } from "./rail.js";

/** @typedef {{session: string, title: string, workspace: string, agent: string, last: number, updated: string}} Summary */

const SEARCH_AFTER = 250;

/** The newest page put over what is known; what changed last first. @param {Summary[]} known @param {Summary[]} page */
export function joined(known, page) {
  const all = new Map([...known, ...page].map((each) => [each.session, each]));
  return [...all.values()].sort((a, b) => (a.updated === b.updated ? (a.session < b.session ? 1 : -1) : a.updated < b.updated ? 1 : -1));
}

/** What a conversation is called. @param {{title: string, session: string}} session */
export const titleOf = ({ title, session }) => shortened(visible(title), 120) || `conversation ${session.slice(0, 8)}`;

/** The list on the page. */
export class SessionList extends Rail {
  /** @param {import("./main.js").Shell} shell */
  constructor(shell) {
    super(shell, {
      name: "Conversations",
      search: "Search conversations",
      searched: "Search titles and messages",
      older: "older conversations",
      above: [h("a", { href: "#/sessions", class: "button new" }, "New conversation")],
    });
    /** @type {Summary[]} */
    this.known = [];
    /** @type {Summary[] | null} what was looked for */
    this.found = null;
    /** @type {Map<string, string>} where it was found */
    this.excerpts = new Map();
    /** @type {Set<string>} those that wait for a person */
    this.asking = new Set();
    /** @type {any} */
    this.timer = null;
    this.draw();
  }

  get isShown() {
    return this.element.isConnected;
  }

  async readNewest() {
    const [page, { approvals }] = await Promise.all([listSessions(), listApprovals()]);
    if (this.next === undefined) this.next = page.next;
    // what is not on the newest page and newer than its end was deleted
    const end = page.sessions.at(-1)?.updated ?? "";
    this.known = joined(page.next ? this.known.filter((each) => each.updated < end) : [], page.sessions);
    this.asking = new Set(approvals.map((/** @type {{owner: string}} */ each) => each.owner));
  }

  /** @param {string} before */
  async readOlder(before) {
    const page = await listSessions({ before });
    this.next = page.next;
    this.known = joined(this.known, page.sessions);
  }

  typed() {
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
      this.draw();
    } catch (error) {
      this.shell.problem(error);
    }
  }

  draw() {
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
