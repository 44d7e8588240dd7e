/**
 * The page: its shell, and which view is open. Owns the way from the address to a view, and what is said to everybody.
 */

import { placeOf } from "./address.js";
import { Problem, signOut } from "./api.js";
import { BatchesView } from "./batches.js";
import { BeginView } from "./begin.js";
import { fill, h, mark, say } from "./dom.js";
import { listen, showSheet } from "./keys.js";
import { NowhereView } from "./nowhere.js";
import { PoolView, PoolWatch } from "./pool.js";
import { RunView } from "./run.js";
import { RunList } from "./runs.js";
import { SessionView } from "./session.js";
import { SessionList } from "./sessions.js";
import { comeBack, signedOutElement } from "./signin.js";
import { StartView } from "./start.js";

/** @typedef {{element: HTMLElement, update: (place: any) => void, close: () => void, key?: (key: string, event: KeyboardEvent) => boolean}} View */

const VIEWS = { runs: StartView, run: RunView, sessions: BeginView, session: SessionView, batches: BatchesView, batch: BatchesView, pool: PoolView, nowhere: NowhereView };
/** The page that a view belongs to, where it bears another name. @type {Record<string, string>} */
const PAGES = { run: "", batch: "batches", session: "sessions" };
/** No answer, too busy, restarting, or a proxy before the server says so: what is asked again anyway need not be told. */
const COMES_BACK = new Set([0, 429, 502, 503, 504]);
const ALOUD_EVERY = 2000;
const NOTICE_STAYS = 8000;

/** What every view is given. */
export class Shell {
  constructor() {
    this.signedOut = false;
    /** @type {View | null} */
    this.view = null;
    this.open = "";
    /** @type {string[]} */
    this.news = [];
    this.lastAloud = 0;
    /** @type {any} */
    this.timers = {};
    this.main = byId("main");
    this.list = new RunList(this);
    this.sessions = new SessionList(this);
    /** @type {RunList | SessionList} the list beside the view */
    this.beside = this.list;
    this.pool = new PoolWatch(this);
    byId("foot").append(this.pool.element);
  }

  /** Open what the address names. */
  route() {
    if (this.signedOut) return;
    const place = placeOf(location.hash);
    const open = `${place.view} ${["run", "session"].includes(place.view) ? place.id : ""}`;
    document.body.dataset.view = place.view;
    this.#putBeside(["sessions", "session"].includes(place.view) ? this.sessions : this.list);
    this.list.select(place.view === "run" ? place.id : "");
    this.sessions.select(place.view === "session" ? place.id : "");
    for (const link of document.querySelectorAll("[data-nav]")) {
      const here = link.getAttribute("data-nav") === (PAGES[place.view] ?? place.view);
      if (here) mark(link, "aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (open === this.open) return this.view?.update(place);
    this.view?.close();
    this.open = open;
    const view = new VIEWS[place.view](this, place);
    this.view = view;
    fill(this.main, view.element);
    this.main.scrollTop = 0;
  }

  /** @param {RunList | SessionList} list */
  #putBeside(list) {
    this.beside = list;
    if (list.element.isConnected) return;
    fill(byId("rail"), list.element);
    list.refresh();
  }

  /** Say a change of state aloud, at most every two seconds, all that came meanwhile in one. @param {string} text */
  tell(text) {
    if (!text) return;
    this.news.push(text);
    const wait = Math.max(0, this.lastAloud + ALOUD_EVERY - Date.now());
    this.timers.news ??= setTimeout(() => {
      say(byId("aloud"), this.news.slice(-3).join("; "));
      this.news = [];
      this.lastAloud = Date.now();
      this.timers.news = null;
    }, wait);
  }

  /** Something went wrong. @param {unknown} error @param {{quiet?: boolean}} [how] `quiet`: asked by itself, and is asked again */
  problem(error, { quiet = false } = {}) {
    if (!(error instanceof Problem)) throw error;
    if (error.signedOut) return this.#signOut();
    if (quiet && COMES_BACK.has(error.status)) return mark(document.body, "data-unreached", "true");
    this.#notice(error.message, error.hint);
  }

  /** The server answered. */
  reached() {
    document.body.removeAttribute("data-unreached");
  }

  #signOut() {
    if (this.signedOut) return;
    this.signedOut = true;
    this.view?.close();
    document.body.dataset.view = "signedout";
    fill(this.main, signedOutElement());
  }

  /** @param {string} text @param {string} hint */
  #notice(text, hint) {
    const notice = byId("notice");
    fill(notice, h("strong", {}, text), hint && h("span", {}, hint));
    notice.hidden = false;
    clearTimeout(this.timers.notice);
    this.timers.notice = setTimeout(() => (notice.hidden = true), NOTICE_STAYS);
  }
}

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

const shell = new Shell();
byId("keys").addEventListener("click", showSheet);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  shell.main.focus();
});
byId("signout").addEventListener("click", async () => {
  await signOut().catch((error) => shell.problem(error));
  location.href = "/signin";
});
addEventListener("hashchange", () => shell.route());
listen(shell);
comeBack();
shell.route();
