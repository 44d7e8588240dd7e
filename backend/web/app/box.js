/**
 * The box in which a person writes. Owns the draft, which a reload keeps, and the key that makes sending twice say it once.
 */

import { newKey, Problem } from "./api.js";
import { fill, h, say } from "./dom.js";
import { visible } from "./format.js";

/** Where a message is written. */
export class Box {
  /**
   * @param {string} name under which the draft is kept
   * @param {(message: {text: string, images?: string[]}, key: string) => Promise<boolean>} send whether it was taken; raises why the server did not
   * @param {(error: unknown) => void} failed
   */
  constructor(name, send, failed) {
    this.name = `corral.draft.${name}`;
    this.send = send;
    this.failed = failed;
    this.wish = newKey();
    this.busy = false;
    this.open = false;
    this.text = h("textarea", { name: "text", rows: "2", dir: "auto", "aria-label": "Message", placeholder: "Say what you want", on: { input: () => this.#changed(), keydown: (/** @type {KeyboardEvent} */ event) => this.#pressed(event) } });
    this.text.value = remembered(this.name);
    /** @type {File[]} */
    this.images = [];
    this.files = h("input", { type: "file", accept: "image/png,image/jpeg", multiple: true, hidden: true, "aria-label": "Images", on: { change: () => this.#attach(this.files.files) } });
    this.attached = h("ul", { class: "attached", "aria-label": "Images of the message", hidden: true });
    const add = h("button", { type: "button", class: "small", on: { click: () => this.files.click() } }, "Images…");
    this.button = h("button", { type: "submit", class: "yes" }, "Send");
    this.hint = h("span", { class: "dim hint" });
    this.element = h("form", { class: "box", on: { submit: (/** @type {Event} */ event) => (event.preventDefault(), this.#submit()) } }, this.text, this.attached, this.files, h("div", { class: "under" }, this.hint, add, this.button));
    this.text.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => this.#attach(event.clipboardData?.files ?? []));
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

  /** @param {Iterable<File>} files */
  #attach(files) {
    if (this.busy) return;
    this.images.push(...[...files].filter((file) => file.type.startsWith("image/")));
    this.files.value = "";
    this.#drawImages();
  }

  #drawImages() {
    this.wish = newKey(); // another message
    const item = (/** @type {File} */ file) =>
      h("li", { class: "chip" }, visible(file.name), h("button", { type: "button", class: "small", "aria-label": `leave out ${visible(file.name)}`, on: { click: () => this.#leaveOut(file) } }, "×"));
    fill(this.attached, ...this.images.map(item));
    this.attached.hidden = !this.images.length;
  }

  /** @param {File} file */
  #leaveOut(file) {
    this.images = this.images.filter((each) => each !== file);
    this.#drawImages();
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
    if (!this.open || this.busy) return;
    if (!text) return void (this.images.length && say(this.hint, "Say what is wanted of the image."));
    this.busy = this.button.disabled = this.text.readOnly = true; // what is typed meanwhile would go with what is sent
    try {
      const images = await Promise.all(this.images.map(base64Of));
      if (!(await this.send({ text, ...(images.length ? { images } : {}) }, this.wish))) return;
      this.text.value = "";
      this.images = [];
      this.#drawImages();
      this.#changed();
    } catch (error) {
      this.failed(error); // the text stays, with its key: who sends it again says it once
    } finally {
      this.busy = this.text.readOnly = false;
      this.button.disabled = !this.open;
    }
  }
}

/** @param {File} file @returns {Promise<string>} */
function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(String(reader.result).replace(/^[^,]*,/, "")));
    reader.addEventListener("error", () => reject(new Problem(0, `${file.name} cannot be read`)));
    reader.readAsDataURL(file);
  });
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
