/**
 * What a conversation waits for: calls that a person allows, changes, turns down or answers, and calls that are a
 * program's to do. Owns the cards. What is shown is what would be done; an answer bears the question's nonce, so it is
 * never one to another question. Nor is a click or a key that was on its way when the question came: a card is answered
 * once it has stood for a while, and a dangerous call is allowed by who first says that it was read. Keys answer the first
 * card, which is marked, and only where what it asks is on screen. Cards that stay are left where they are, with what is
 * being written in them.
 */

import { decide, postResult, readApproval } from "./api.js";
import { fill, h, mark, say } from "./dom.js";
import { counted, visible } from "./format.js";
import { isField } from "./keys.js";
import { CUT, cutText, jsonOf } from "./messages.js";
import { settling } from "./settling.js";
import { signedLines } from "./talk.js";

/** @typedef {{failed: (error: unknown) => void, settled: () => void, left: () => void}} Told an answer was refused; one was taken; the field that was written in is gone */

const SCOPES = { once: "this once", run: "in this conversation", project: "in this folder", always: "always" };

/** Pixels: behind the round corner of a box; between the upper edge and a card that cannot be scrolled higher. */
const INSIDE = 12;
const HIGHEST = 80;

/** What would be done; of a diff each line in the colour of its sign. @param {string} text @returns {HTMLElement} */
function doneText(text) {
  const lines = text.length > CUT ? [] : signedLines(text);
  if (!lines.length) return cutText(text);
  return h("pre", { class: "lines" }, ...lines.map((each) => h("span", { "data-sign": each.sign }, visible(each.text))));
}

/** The cards of all that waits. */
export class Asked {
  /** @param {string} session @param {Told} told */
  constructor(session, told) {
    this.session = session;
    this.told = told;
    /** @type {Map<string, Card | ClientCard>} */
    this.cards = new Map();
    this.element = h("div", { class: "asked", hidden: true });
  }

  /** @param {import("./talk.js").Waiting} waiting */
  show({ approvals, client_calls }) {
    const now = [...approvals.map((each) => each.nonce), ...client_calls.map((each) => each.call)];
    if (now.length === this.cards.size && now.every((id) => this.cards.has(id))) return;
    const cards = new Map();
    for (const each of approvals) cards.set(each.nonce, this.cards.get(each.nonce) ?? new Card(each, this.told));
    for (const each of client_calls) cards.set(each.call, this.cards.get(each.call) ?? new ClientCard(this.session, each, this.told));
    const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
    this.#put(cards);
    this.element.hidden = !cards.size;
    for (const card of cards.values()) card.settles.begin(); // what is under a pointer and a key is another one now
    for (const card of cards.values()) card.element.toggleAttribute("data-keys", card === this.first);
    if (isField(focused) && document.activeElement !== focused) this.told.left();
  }

  /** Change only what changes: a card that is taken out and put back loses the focus. @param {Map<string, Card | ClientCard>} cards in their order */
  #put(cards) {
    for (const [id, { element }] of this.cards) if (!cards.has(id)) element.remove();
    let next = this.element.firstElementChild;
    for (const { element } of cards.values()) {
      if (element === next) next = next.nextElementSibling;
      else this.element.insertBefore(element, next);
    }
    this.cards = cards;
  }

  /** The question that a key answers: the first one. */
  get first() {
    return [...this.cards.values()].find((card) => card instanceof Card);
  }

  /**
   * A key. Where the first question is not on screen it is brought there, and no more.
   * @param {"approve" | "reject"} kind
   * @param {KeyboardEvent} event
   * @returns {boolean} whether there is a question that it answers
   */
  press(kind, event) {
    const card = this.first;
    if (!card || (card.dangerous && kind === "approve")) return false;
    if (card.isSeen()) card.press(kind, event);
    else card.bring();
    return true;
  }
}

/** One approval. */
class Card {
  /** @param {any} approval @param {Told} told */
  constructor(approval, told) {
    this.approval = approval;
    this.told = told;
    this.dangerous = approval.danger === "dangerous";
    /** @type {string[]} */
    this.proposed = [];
    const button = (/** @type {string} */ kind, /** @type {string} */ look, /** @type {any[]} */ ...text) => h("button", { type: "button", class: look, "data-kind": kind, on: { click: (/** @type {MouseEvent} */ event) => this.press(kind, event) } }, ...text);
    const key = (/** @type {string} */ name) => h("kbd", { "aria-hidden": "true" }, name);
    this.buttons = {
      approve: button("approve", this.dangerous ? "no" : "yes", this.dangerous ? "Do it all the same" : "Approve ", !this.dangerous && key("a")),
      edit: button("edit", "", "Edit…"),
      reject: button("reject", "no", "Reject ", key("n")),
      respond: button("respond", "", "Respond"),
    };
    this.back = h("button", { type: "button", hidden: true, on: { click: () => this.#edit(false) } }, "Back");
    this.words = h("input", { type: "text", dir: "auto", autocomplete: "off", maxlength: "2000" });
    this.changed = h("textarea", { rows: "6", spellcheck: "false", class: "mono", "aria-label": "Arguments, as JSON" });
    this.editing = h("label", { hidden: true }, h("span", {}, "Do it with these arguments instead"), this.changed);
    this.scope = h("select", { "aria-label": "How far a yes goes", disabled: true, on: { change: () => this.#scoped() } }, ...Object.entries(SCOPES).map(([value, text]) => h("option", { value }, text)));
    this.lasting = h("label", { class: "scope" }, h("span", { class: "dim" }, "a yes holds "), this.scope);
    this.rules = h("textarea", { rows: "2", spellcheck: "false", class: "mono" });
    this.covers = h("span", { class: "dim" });
    this.ruling = h("label", { hidden: true }, h("span", {}, "Rules, one a line"), this.rules, this.covers);
    this.read = h("input", { type: "checkbox", on: { click: (/** @type {MouseEvent} */ event) => this.#says(event) } });
    this.wrong = h("p", { role: "alert", "data-tone": "bad", hidden: true });
    this.answers = h("div", { class: "answers" }, ...Object.entries(this.buttons).map(([kind, each]) => approval.allowed.includes(kind) && each), this.back, approval.allowed.includes("approve") && this.lasting);
    this.sending = false;
    this.head = h("div", { class: "top" }, h("h2", {}, "Allow ", h("code", {}, visible(approval.tool)), "?"), h("span", { class: "chip", "data-tone": this.dangerous ? "bad" : "warn" }, this.dangerous ? "! dangerous" : visible(approval.danger)));
    this.shown = h("div", { class: "shown", tabindex: "0", role: "group", "aria-label": "What would be done" }, doneText(approval.description));
    this.element = h("section", { class: "approval", "data-danger": approval.danger, "aria-label": `Approval of ${visible(approval.tool)}` }, ...this.#content());
    this.settles = settling(this.answers, () => this.#dim());
    this.#dim();
    this.#propose();
  }

  #content() {
    const { why, arguments: given, allowed } = this.approval;
    const can = (/** @type {string} */ kind) => allowed.includes(kind);
    return [
      this.head,
      why && h("p", { class: "dim why" }, visible(why)),
      this.shown,
      h("details", {}, h("summary", {}, "exact arguments"), cutText(jsonOf(given))),
      this.editing,
      h("label", {}, h("span", {}, can("respond") ? "Reason, or an answer in its place" : "Reason, if you like"), this.words),
      this.ruling,
      this.dangerous && (can("approve") || can("edit")) && h("label", { class: "check" }, this.read, "I have read what it would do"),
      this.wrong,
      this.answers,
    ];
  }

  /** Which rules a yes for later would make. */
  async #propose() {
    try {
      const { proposal } = await readApproval(this.approval.id);
      this.proposed = proposal.patterns;
      this.rules.value = proposal.patterns.join("\n");
      this.scope.disabled = !proposal.patterns.length;
      this.scope.title = proposal.patterns.length ? "" : "no rule may cover this: it is asked each time";
      say(this.covers, proposal.past.length ? `would have covered ${counted(proposal.past.length, "call")} asked before` : "");
    } catch (error) {
      this.told.failed(error);
    }
  }

  /** Whether what is asked is on screen, to its end or as far as there is room, and nothing lies over it. */
  isSeen() {
    const [head, shown, around] = [this.head, this.shown, this.element.parentElement].map((each) => each.getBoundingClientRect());
    const seen = (/** @type {HTMLElement} */ part, /** @type {number} */ y) => part.contains(document.elementFromPoint(head.left + INSIDE, y));
    const isHighest = head.top - Math.max(around.top, 0) < HIGHEST;
    return seen(this.head, head.top + 1) && seen(this.shown, shown.top + 1) && (isHighest || seen(this.shown, shown.bottom - 1));
  }

  /** Bring it on screen; it settles there. */
  bring() {
    for (const each of [this.element, this.shown, this.head]) each.scrollIntoView({ block: "nearest" });
    this.settles.begin();
  }

  #scoped() {
    this.ruling.hidden = this.scope.value === "once" || !this.editing.hidden;
  }

  /** A button or a key. @param {string} kind @param {{timeStamp: number, detail?: number}} event */
  press(kind, event) {
    if (this.settles.takes(event, performance.now())) this.#answer(kind);
  }

  /** @param {string} kind */
  async #answer(kind) {
    if (this.sending) return;
    if (kind === "edit" && this.editing.hidden) return this.#edit(true);
    if (kind === "approve" && !this.editing.hidden) return; // of which arguments?
    const decision = this.#decision(kind);
    if (!decision) return;
    if (this.#unread(kind)) return this.#complain("Say first that you have read what it would do.", this.read);
    const later = kind === "approve" && this.scope.value !== "once";
    const patterns = later ? this.rules.value.split("\n").map((/** @type {string} */ each) => each.trim()).filter(Boolean) : [];
    await this.#send({ nonce: this.approval.nonce, decision, scope: later ? this.scope.value : "once", patterns });
  }

  /** @param {string} kind @returns {Record<string, unknown> | null} null where something is missing */
  #decision(kind) {
    const message = this.words.value.trim();
    if (kind === "respond" && !message) return this.#complain("Write what to answer first.", this.words);
    if (kind !== "edit") return { type: kind, ...(message ? { message } : {}) };
    try {
      return { type: "edit", edited_action: { name: this.approval.tool, args: JSON.parse(this.changed.value) } };
    } catch {
      return this.#complain("That is not JSON.", this.changed);
    }
  }

  /** @param {boolean} on whether other arguments are being written; a yes to those that were asked for is none then */
  #edit(on) {
    this.editing.hidden = !on;
    this.back.hidden = !on;
    this.buttons.approve.hidden = this.lasting.hidden = on;
    mark(this.buttons.edit, "class", on ? "yes" : "");
    fill(this.buttons.edit, on ? "Do it so" : "Edit…");
    this.#scoped();
    this.settles.begin(); // the same buttons say something else now
    if (!on) return this.buttons.edit.focus();
    this.changed.value = jsonOf(this.approval.arguments);
    this.changed.focus();
  }

  /** Whether what is dangerous would be done without having been read. @param {string} kind */
  #unread(kind) {
    return this.dangerous && !this.read.checked && (kind === "approve" || (kind === "edit" && !this.editing.hidden));
  }

  /** @param {MouseEvent} event */
  #says(event) {
    if (!this.settles.takes(event, performance.now())) event.preventDefault();
    else this.#dim();
  }

  /** Show which buttons do something. */
  #dim() {
    for (const [kind, each] of Object.entries(this.buttons)) mark(each, "aria-disabled", String(!this.settles.settled || this.#unread(kind)));
    mark(this.read, "aria-disabled", String(!this.settles.settled));
  }

  /** @param {string} text @param {HTMLElement} field @returns {null} */
  #complain(text, field) {
    this.wrong.hidden = false;
    say(this.wrong, text);
    field.focus();
    return null;
  }

  /** @param {Record<string, unknown>} answer */
  async #send(answer) {
    this.wrong.hidden = true;
    this.#ready(false);
    try {
      await decide(this.approval.id, answer);
      this.told.settled();
    } catch (error) {
      this.#ready(true);
      this.told.failed(error);
    }
  }

  /** @param {boolean} ready */
  #ready(ready) {
    this.sending = !ready;
    for (const each of Object.values(this.buttons)) each.disabled = !ready;
  }
}

/** A call that the session's own program is to do, and is not here to. */
class ClientCard {
  /** @param {string} session @param {any} call @param {Told} told */
  constructor(session, call, told) {
    this.session = session;
    this.call = call;
    this.told = told;
    this.came = h("textarea", { rows: "2" });
    this.buttons = [true, false].map((ok) => h("button", { type: "button", class: ok ? "yes" : "no", on: { click: (/** @type {MouseEvent} */ event) => this.settles.takes(event, performance.now()) && this.answer(ok) } }, ok ? "It is done" : "It cannot be done"));
    this.answers = h("div", { class: "answers" }, ...this.buttons);
    this.element = h(
      "section",
      { class: "approval", "aria-label": `Call of ${visible(call.tool)}` },
      h("h2", {}, "Waits for the program that does ", h("code", {}, visible(call.tool))),
      h("p", { class: "dim" }, "It is not this page. If the program is gone, you can say what came of it."),
      cutText(jsonOf(call.arguments)),
      h("label", {}, h("span", {}, "What came of it"), this.came),
      this.answers,
    );
    this.settles = settling(this.answers, () => this.#dim());
    this.#dim();
  }

  #dim() {
    for (const each of this.buttons) mark(each, "aria-disabled", String(!this.settles.settled));
  }

  /** @param {boolean} ok */
  async answer(ok) {
    for (const each of this.buttons) each.disabled = true;
    try {
      await postResult(this.session, this.call.call, { content: this.came.value, ok });
      this.told.settled();
    } catch (error) {
      for (const each of this.buttons) each.disabled = false;
      this.told.failed(error);
    }
  }
}
