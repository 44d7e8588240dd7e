/**
 * Following a run's events, or a session's turn, over one connection, from where the page is.
 *
 * Owns the connection's life: closed while nobody looks (a browser allows six to a server, for all tabs together), opened
 * again behind the last event, ended by `end`.
 */

import { CHUNKS } from "./talk.js";
import { KINDS } from "./words.js";

/** @typedef {{address: (after: number) => string, kinds: string[]}} Source what is followed: where, and which kinds of events it has */
/** @typedef {"connecting" | "live" | "retrying" | "restarting" | "hidden" | "ended"} Link */
/**
 * @typedef {object} World what a stream needs of the browser, so that a test can stand in
 * @property {(url: string) => EventSource} open
 * @property {(work: () => void, milliseconds: number) => any} later
 * @property {(timer: any) => void} forget
 * @property {EventTarget & {hidden: boolean}} page
 */

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
/** `EventSource.CLOSED`: refused, and the browser does not try again. */
const CLOSED = 2;

/** A run's events, which have numbers. @param {string} run @returns {Source} */
export const eventsOf = (run) => ({ address: (after) => `/api/v1/runs/${encodeURIComponent(run)}/events?after=${after}`, kinds: KINDS });
/** The turn of a session that is open: chunks, which have none; each connection tells all of it. @param {string} session @returns {Source} */
export const turnOf = (session) => ({ address: () => `/api/v1/sessions/${encodeURIComponent(session)}/stream`, kinds: CHUNKS });

/** @returns {World} */
function browser() {
  return {
    open: (url) => new EventSource(url),
    later: (work, milliseconds) => setTimeout(work, milliseconds),
    forget: (timer) => clearTimeout(timer),
    page: document,
  };
}

/** One stream. */
export class Stream {
  /**
   * @param {Source} followed
   * @param {object} told
   * @param {(event: any) => void} told.event an event or a chunk
   * @param {(link: Link) => void} told.link
   * @param {() => Promise<boolean>} told.refused asked when the server refuses the stream: whether to go on trying
   * @param {World} [world]
   */
  constructor(followed, told, world = browser()) {
    this.followed = followed;
    this.told = told;
    this.world = world;
    this.seq = 0;
    this.wait = FIRST_WAIT;
    /** @type {Link} */
    this.link = "connecting";
    /** @type {EventSource | null} */
    this.source = null;
    /** @type {any} */
    this.timer = null;
    this.closed = false;
    this.looked = () => this.#looked();
    world.page.addEventListener("visibilitychange", this.looked);
    this.#looked();
  }

  /** Stop for good. */
  close() {
    this.closed = true;
    this.world.page.removeEventListener("visibilitychange", this.looked);
    this.#drop();
  }

  #looked() {
    if (this.closed || this.link === "ended") return;
    if (!this.world.page.hidden) return this.source || this.#open("connecting");
    this.#drop();
    this.#tell("hidden");
  }

  /** @param {Link} link */
  #open(link) {
    this.#drop();
    this.#tell(link);
    const source = this.world.open(this.followed.address(this.seq));
    this.source = source;
    source.addEventListener("open", () => this.source === source && this.#tell("live"));
    source.addEventListener("error", () => this.source === source && this.#failed(source.readyState === CLOSED));
    source.addEventListener("end", () => this.source === source && this.#end());
    source.addEventListener("server-shutdown", () => this.source === source && this.#retry("restarting"));
    for (const kind of this.followed.kinds) {
      source.addEventListener(kind, (message) => this.source === source && this.#arrived(message));
    }
  }

  /** @param {MessageEvent} message */
  #arrived(message) {
    const event = JSON.parse(message.data);
    if (event.seq <= this.seq) return;
    this.seq = event.seq ?? 0;
    this.wait = FIRST_WAIT;
    this.told.event(event);
  }

  #end() {
    this.#drop();
    this.#tell("ended");
  }

  /** @param {boolean} refused */
  async #failed(refused) {
    this.#drop();
    if (refused && !(await this.told.refused())) return this.closed || this.#tell("ended");
    this.#retry("retrying");
  }

  /** @param {Link} link */
  #retry(link) {
    this.#drop();
    if (this.closed || this.world.page.hidden) return;
    this.#tell(link);
    this.timer = this.world.later(() => this.#open(link), this.wait);
    this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
  }

  #drop() {
    this.world.forget(this.timer);
    this.timer = null;
    this.source?.close();
    this.source = null;
  }

  /** @param {Link} link */
  #tell(link) {
    this.link = link;
    this.told.link(link);
  }
}
