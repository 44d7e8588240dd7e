/**
 * The box in which a person writes. Owns the draft, which a reload keeps, and the key that makes sending twice say it once.
 */

import { newKey } from "./api.js";
import { h, say } from "./dom.js";

/** Where a message is written. */
export class Box {
  /**
   * @param {string} name under which the draft is kept
   * @param {(text: string, key: string) => Promise<boolean>} send whether it was taken; raises why the server did not
   * @param {(error: unknown) => void} failed
   */
  constructor(name, send, failed) {
    this.name = `corral.draft.${name}`;
    this.send = send;
    this.failed = failed;
    this.wish = newKey();
    this.busy = false;
    this.open = false;
    this.text = h("textarea", { name: "text", rows: "2", "aria-label": "Message", placeholder: "Say what you want", on: { input: () => this.#changed(), keydown: (/** @type {KeyboardEvent} */ event) => this.#pressed(event) } });
    this.text.value = remembered(this.name);
    this.button = h("button", { type: "submit", class: "yes" }, "Send");
    this.hint = h("span", { class: "dim hint" });
    this.element = h("form", { class: "box", on: { submit: (/** @type {Event} */ event) => (event.preventDefault(), this.#submit()) } }, this.text, h("div", { class: "under" }, this.hint, this.button));
    this.ready(false);
  }

  /** Whether a message can be sent now. @param {boolean} open @param {string} [why] not */
  ready(open, why = "") {
    this.open = open;
    this.button.disabled = !open || this.busy;
    say(this.hint, open ? "Enter sends, Shift+Enter begins a line" : why);
  }

  #changed() {
    this.wish = newKey(); // another message
    remember(this.name, this.text.value);
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key === "Escape") return this.text.blur(); // single keys are commands again
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  async #submit() {
    const text = this.text.value.trim();
    if (!text || !this.open || this.busy) return;
    this.busy = this.button.disabled = true;
    try {
      if (!(await this.send(text, this.wish))) return;
      this.text.value = "";
      this.#changed();
    } catch (error) {
      this.failed(error); // the text stays, with its key: who sends it again says it once
    } finally {
      this.busy = false;
      this.button.disabled = !this.open;
    }
  }
}

/** @param {string} name @param {string} text */
function remember(name, text) {
  try {
    if (text) sessionStorage.setItem(name, text);
    else sessionStorage.removeItem(name);
  } catch {
    return; // a browser that keeps nothing; the box works all the same
  }
}

/** @param {string} name */
function remembered(name) {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}
