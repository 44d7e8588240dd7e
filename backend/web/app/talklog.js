/**
 * The messages of a conversation on the page, with the answer that is being given at their end. Owns that it follows what
 * is said as long as a person looks at its end, and stays where it is when earlier messages come before.
 */

import { fill, h, mark, say } from "./dom.js";
import { visible } from "./format.js";
import { LiveAnswer, messageShown } from "./messages.js";
import { isUnanswered, resultsOf, shownAlone } from "./talk.js";

const NEAR_END = 60;

/** The log on the page. */
export class TalkLog {
  /** @param {string} session @param {() => void} earlier asked for the page before */
  constructor(session, earlier) {
    this.session = session;
    /** @type {Map<number, import("./messages.js").Shown>} */
    this.shown = new Map();
    this.first = 0;
    this.atEnd = true;
    this.earlier = h("button", { type: "button", class: "more", hidden: true, on: { click: earlier } }, "earlier messages");
    this.list = h("div", { class: "messages" });
    this.live = new LiveAnswer();
    this.note = h("p", { class: "dim note", hidden: true });
    this.element = h("div", { class: "talk", role: "log", "aria-live": "off", "aria-label": "Messages", tabindex: "0" }, this.earlier, this.list, this.live.element, this.note);
    this.scrolled = () => (this.atEnd = isAtEnd(this.#scrolls()));
    this.element.addEventListener("scroll", this.scrolled);
    document.addEventListener("scroll", this.scrolled);
    this.sizes = new ResizeObserver(() => this.#keepEnd()); // a question takes room from the log
    this.sizes.observe(this.element);
  }

  close() {
    document.removeEventListener("scroll", this.scrolled);
    this.sizes.disconnect();
  }

  /** Go to the end with the next message. */
  follow() {
    this.atEnd = true;
  }

  /** @param {import("./talk.js").Talk} talk */
  show(talk) {
    const box = this.#scrolls();
    const fromEnd = box.scrollHeight - box.scrollTop;
    const before = this.first;
    const changed = this.#showMessages(talk);
    this.live.show(talk);
    this.#showNote(talk);
    this.earlier.hidden = !talk.next;
    mark(this.element, "aria-busy", String(talk.turn === "open"));
    if (changed && this.first < before) box.scrollTop = box.scrollHeight - fromEnd;
    else this.#keepEnd();
  }

  #keepEnd() {
    const box = this.#scrolls();
    if (this.atEnd) box.scrollTop = box.scrollHeight;
  }

  /** What scrolls: the log, and the whole page where that is narrow. */
  #scrolls() {
    const own = getComputedStyle(this.element).overflowY === "auto";
    return own ? this.element : /** @type {Element} */ (document.scrollingElement);
  }

  /** @param {import("./talk.js").Talk} talk @returns {boolean} whether messages came */
  #showMessages(talk) {
    const around = { results: resultsOf(talk.messages), asked: new Set(talk.waiting.approvals.map((each) => each.key)), open: talk.turn === "open" };
    const wanted = shownAlone(talk.messages);
    const elements = wanted.map((message) => {
      const shown = this.shown.get(message.number) ?? messageShown(message, this.session);
      this.shown.set(message.number, shown);
      shown.update(around);
      return shown.element;
    });
    const last = this.list.lastElementChild;
    const same = elements.length === this.list.children.length && elements.at(-1) === (last ?? undefined);
    if (same) return false;
    const appended = elements.slice(this.list.children.length);
    if (elements[0] === this.list.firstElementChild && elements[this.list.children.length - 1] === last) this.list.append(...appended);
    else fill(this.list, ...elements);
    this.first = talk.messages[0]?.number ?? 0;
    return true;
  }

  /** How the last turn ended, where that is not seen. @param {import("./talk.js").Talk} talk */
  #showNote(talk) {
    const { messages, ended, turn, next } = talk;
    const text = ended && !ended.ok ? `The turn ended: ${ended.text || "it failed"}` : isUnanswered(talk) ? "This message has no answer: its turn was stopped, or failed. Say it again, or something else." : "";
    const empty = turn === "none" && !messages.length && next !== undefined ? "Nothing was said yet." : "";
    this.note.hidden = !text && !empty;
    say(this.note, visible(text || empty));
    mark(this.note, "data-tone", text ? "warn" : "dim");
  }
}

/** @param {Element} box */
function isAtEnd({ scrollHeight, scrollTop, clientHeight }) {
  return scrollHeight - scrollTop - clientHeight < NEAR_END;
}
