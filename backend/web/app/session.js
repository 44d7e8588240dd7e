/**
 * One conversation: its head, its messages, the answer as it is given, what is asked, and the box to write in.
 *
 * Owns when the server is asked for what. The turn that is open is followed over one connection; where none is open, the
 * session is looked at every few seconds, since another window or program may have said something.
 */

import { cancelTurn, changeSession, getSession, listAgents, Problem, readHistory, readWaiting, sendMessage } from "./api.js";
import { Asked } from "./asked.js";
import { Box } from "./box.js";
import { eachFrame, fill, h, mark, say } from "./dom.js";
import { visible } from "./format.js";
import { showNothing } from "./nowhere.js";
import { titleOf } from "./sessions.js";
import { Stream, turnOf } from "./stream.js";
import { again, fold, follow, goesOn, lastOf, leavesGap, newTalk, over, put, standing } from "./talk.js";
import { TalkLog } from "./talklog.js";

const LOOK = 3000;
/** After which a stream without an end has a turn. */
const SETTLES = 400;
const LINKS = { connecting: "connecting…", live: "live", retrying: "connection lost, trying again…", restarting: "the server restarts…", hidden: "resting while hidden", ended: "" };

/** The view of a conversation. */
export class SessionView {
  /** @param {import("./main.js").Shell} shell @param {import("./address.js").Place} place */
  constructor(shell, place) {
    this.shell = shell;
    this.session = place.id;
    this.talk = newTalk();
    /** @type {any} the session as the server has it */
    this.record = null;
    /** @type {import("./stream.js").Link} */
    this.link = "connecting";
    /** @type {any} */
    this.settling = null;
    this.looking = false;
    this.reading = false;
    this.readMore = false;
    this.asks = 0; // how often what waits was asked for
    this.closed = false;
    /** @type {Stream | null} */
    this.stream = null;
    this.failed = (/** @type {unknown} */ error) => this.#failed(error);
    this.title = h("h1", { class: "task" }, "…");
    this.chip = h("span", { class: "chip status" });
    this.linkTold = h("span", { class: "link dim" });
    this.agent = h("select", { "aria-label": "Who answers the next message", on: { change: () => this.#switch() } });
    this.stop = h("button", { type: "button", hidden: true, on: { click: () => this.#cancel() } }, "Stop ", h("kbd", { "aria-hidden": "true" }, "."));
    this.folder = h("span", { class: "dim repo" });
    this.log = new TalkLog(this.session, () => this.#readEarlier());
    this.asked = new Asked(this.session, { failed: this.failed, settled: () => this.#readWaiting(), left: () => this.#typeOn() });
    this.box = new Box(this.session, (message, key) => this.#send(message, key), this.failed);
    this.element = h(
      "article",
      { class: "session" },
      h("header", { class: "runhead" }, h("div", { class: "top" }, this.chip, h("label", { class: "speaker" }, h("span", { class: "dim" }, "answered by "), this.agent), this.linkTold, h("span", { class: "space" }), this.stop), this.title, h("p", { class: "dim meta" }, h("span", { class: "id" }, this.session), this.folder)),
      this.log.element,
      this.asked.element,
      this.box.element,
    );
    this.soon = eachFrame(() => this.#draw());
    this.timer = setInterval(() => this.#look(), LOOK);
    this.looked = () => this.#look();
    document.addEventListener("visibilitychange", this.looked);
    this.#look();
    this.soon();
  }

  update() {}

  close() {
    this.closed = true;
    clearInterval(this.timer);
    clearTimeout(this.settling);
    document.removeEventListener("visibilitychange", this.looked);
    this.stream?.close();
    this.log.close();
    this.element.remove();
  }

  /** The keys of this view. @param {string} key @param {KeyboardEvent} event @returns {boolean} whether it was one */
  key(key, event) {
    if (this.closed) return false; // there is no such conversation
    if (key === "m") this.box.text.focus();
    else if (key === "a") return this.asked.press("approve", event);
    else if (key === "n") return this.asked.press("reject", event);
    else if (key === "." && !this.stop.hidden) this.#cancel();
    else return false;
    return true;
  }

  // ------------------------------------------------------------------------------------ asking the server
  async #begin() {
    const [record, { agents }] = await Promise.all([getSession(this.session), listAgents()]);
    this.record = record;
    this.shell.reached();
    fill(this.agent, ...agents.map((/** @type {{name: string, about: string}} */ each) => h("option", { value: each.name, title: visible(each.about) }, visible(each.name))));
    await this.#read();
    this.#watch();
  }

  /** Follow the turn that is open, from its first chunk. @param {string} [turn] where that is known */
  #watch(turn) {
    if (this.closed) return; // left while something was asked for: nobody would close the stream
    this.stream?.close();
    follow(this.talk, turn);
    this.stream = new Stream(turnOf(this.session), {
      event: (chunk) => this.#chunk(chunk),
      link: (link) => this.#link(link),
      refused: () => this.#refused(),
    });
  }

  /** @param {import("./talk.js").Chunk} chunk */
  #chunk(chunk) {
    const wanted = fold(this.talk, chunk);
    if (wanted.history) this.#read();
    if (wanted.waiting) this.#readWaiting();
    if (chunk.kind === "failed") this.shell.tell(`The turn ended: ${chunk.text}`);
    if (chunk.kind === "done") this.shell.tell(`${this.talk.agent} has answered`);
    this.soon();
  }

  /** @param {import("./stream.js").Link} link */
  #link(link) {
    this.link = link;
    clearTimeout(this.settling);
    if (link === "live") {
      again(this.talk);
      this.settling = setTimeout(() => this.#settle(), SETTLES);
    }
    if (link === "ended") {
      over(this.talk);
      this.#read();
    }
    this.soon();
  }

  /** No end came at once, so a turn is open, though nothing is said yet. */
  #settle() {
    if (this.talk.turn === "unknown") this.talk.turn = "open";
    this.soon();
  }

  /** The stream was refused: find out why. @returns {Promise<boolean>} whether to go on trying */
  async #refused() {
    try {
      await getSession(this.session);
      return true;
    } catch (error) {
      this.#failed(error);
      return error instanceof Problem && error.status !== 404 && !error.signedOut;
    }
  }

  /** Look whether something was said or answered elsewhere; as long as nothing was read of it, begin. */
  async #look() {
    if (this.closed || this.looking || this.shell.signedOut || (this.record && document.hidden)) return;
    this.looking = true;
    try {
      await (this.record ? this.#lookAgain() : this.#begin());
    } catch (error) {
      this.#failed(error, true);
    } finally {
      this.looking = false;
    }
    this.soon();
  }

  async #lookAgain() {
    const { talk } = this;
    this.record = await getSession(this.session);
    this.shell.reached();
    if (talk.waiting.approvals.length || talk.waiting.client_calls.length) await this.#readWaiting();
    if (this.record.last > lastOf(talk) || talk.next === undefined) {
      await this.#read();
      if (this.link === "ended") this.#watch();
    } else if (talk.turn !== "open" && this.record.agent) talk.agent = this.record.agent;
  }

  /** Read the newest messages; once more where that was asked for meanwhile. What began meanwhile is watched. */
  async #read() {
    if (this.reading) return void (this.readMore = true);
    this.reading = true;
    try {
      do {
        this.readMore = false;
        await this.#readNewest();
      } while (this.readMore && !this.closed);
    } catch (error) {
      this.#failed(error, true);
    } finally {
      this.reading = false;
    }
    if (this.link === "ended" && goesOn(this.talk)) this.#watch();
    this.soon();
  }

  async #readNewest() {
    const last = lastOf(this.talk);
    const pages = [await readHistory(this.session)];
    while (leavesGap(last, pages[pages.length - 1])) pages.push(await readHistory(this.session, pages[pages.length - 1].next));
    for (const page of pages) put(this.talk, page);
  }

  async #readEarlier() {
    try {
      put(this.talk, await readHistory(this.session, this.talk.next));
    } catch (error) {
      this.#failed(error);
    }
    this.soon();
  }

  async #readWaiting() {
    const asks = ++this.asks;
    try {
      const waiting = await readWaiting(this.session);
      if (asks !== this.asks) return; // a later word is under way, which this one may be older than
      const before = this.talk.waiting.approvals.length;
      this.talk.waiting = waiting;
      if (waiting.approvals.length !== before) this.shell.sessions.refresh(); // it says who needs the person
      if (waiting.approvals.length > before) this.shell.tell(`You are asked about ${waiting.approvals[0].tool}. Press a to approve, n to reject.`);
    } catch (error) {
      this.#failed(error, true);
    }
    this.soon();
  }

  // ------------------------------------------------------------------------------------ what a person does
  /** @param {{text: string, images?: string[]}} message @param {string} key */
  async #send(message, key) {
    const { turn } = await sendMessage(this.session, message, key);
    this.talk.ended = null;
    this.talk.turn = "open"; // as the stream will say; no second message until then
    this.log.follow();
    this.#read();
    this.#watch(turn);
    return true;
  }

  /** The question that was being written to is gone: the rest of the text is no keys. */
  #typeOn() {
    this.box.text.focus();
    this.shell.tell("The question was answered elsewhere. What you type goes into the message box.");
  }

  async #switch() {
    try {
      this.record = await changeSession(this.session, { agent: this.agent.value });
      this.talk.agent = this.record.agent;
      this.shell.tell(`${this.record.agent} answers from now on`);
    } catch (error) {
      this.#failed(error);
    }
    this.soon();
  }

  async #cancel() {
    this.stop.disabled = true;
    try {
      await cancelTurn(this.session);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.stop.disabled = false;
    }
  }

  /** @param {unknown} error @param {boolean} [quiet] */
  #failed(error, quiet = false) {
    if (error instanceof Problem && error.status === 404 && !this.closed && error.message.includes(this.session)) return this.#unknown(error);
    this.shell.problem(error, { quiet });
    if (!(error instanceof Problem) || error.status !== 409) return;
    this.#look();
    this.#readWaiting();
  }

  /** @param {Problem} error */
  #unknown(error) {
    this.close();
    showNothing(this.shell.main, "There is no such conversation", error.message);
  }

  // ------------------------------------------------------------------------------------ drawing
  #draw() {
    if (this.closed) return;
    const { talk, record, link } = this;
    const { word, tone } = standing(talk);
    say(this.chip, word);
    mark(this.chip, "data-tone", tone);
    say(this.linkTold, LINKS[link]);
    mark(this.linkTold, "data-link", link);
    const title = record ? titleOf(record) : "…";
    say(this.title, title);
    say(this.folder, record?.workspace ? visible(record.workspace) : "");
    this.stop.hidden = talk.turn !== "open";
    this.agent.disabled = talk.turn !== "none";
    if (document.activeElement !== this.agent) this.agent.value = talk.agent || "orchestrator";
    this.asked.show(talk.waiting);
    this.log.show(talk);
    this.box.ready(talk.turn === "none", talk.waiting.approvals.length ? "The turn waits for your answer above" : "The next message can be sent when this turn is over");
    document.title = `${tone === "warn" ? "? " : tone === "live" ? "◐ " : ""}${title.slice(0, 60)} · Corral`;
  }
}
