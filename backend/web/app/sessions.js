/**
 * The list of conversations: those that changed last first, searched by the server, and kept up to date.
 */

import { sessionAddress } from "./address.js";
import { listApprovals, listSessions } from "./api.js";
import { newestPages } from "./asking.js";
import { h, mark, say } from "./dom.js";
import { ago, prose, shortened, visible } from "./format.js";
import { Rail } from "./rail.js";
import { arrange, renew } from "./renew.js";

/** @typedef {{session: string, title: string, workspace: string, agent: string, last: number, updated: string}} Summary */

const SEARCH_AFTER = 250;

/** The newest page put over what is known; what changed last first. @param {Summary[]} known @param {Summary[]} page */
export function joined(known, page) {
  const all = new Map([...known, ...page].map((each) => [each.session, each]));
  return [...all.values()].sort((a, b) => (a.updated === b.updated ? (a.session < b.session ? 1 : -1) : a.updated < b.updated ? 1 : -1));
}

/** What a conversation is called. @param {{title: string, session: string}} session */
export const titleOf = ({ title, session }) => shortened(prose(title), 120) || `conversation ${session.slice(0, 8)}`;

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
    /** @type {Map<string, HTMLElement>} */
    this.items = new Map();
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
    const newest = this.known[0]?.updated ?? "";
    const newer = newestPages((before) => listSessions({ before }), (page) => !newest || page.sessions[page.sessions.length - 1].updated <= newest);
    const [{ pages, next, gap }, { approvals }] = await Promise.all([newer, listApprovals()]);
    if (this.next === undefined || gap) this.next = next;
    const sessions = pages.flatMap((page) => page.sessions);
    // what is not on the newest pages and newer than their end was deleted; behind a gap, older ones are asked for anew
    const end = next && !gap ? sessions[sessions.length - 1].updated : "";
    this.known = joined(this.known.filter((each) => each.updated < end), sessions);
    this.asking = new Set(approvals.map((/** @type {{owner: string}} */ each) => each.owner));
  }

  /** @param {string} before */
  async readOlder(before) {
    const page = await listSessions({ before });
    if (before !== this.next) return; // asked for twice
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
    arrange(this.list, shown.map((each) => this.#item(each, now)));
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
      this.found && excerpt && h("span", { class: "dim about excerpt" }, shortened(prose(excerpt), 160)),
    );
    if (session.session === this.selected) mark(link, "aria-current", "page");
    const item = this.items.get(session.session) ?? h("li");
    this.items.set(session.session, item);
    mark(item, "data-tone", asks ? "warn" : "dim");
    renew(item, link);
    return item;
  }
}
