/**
 * A run's question to a person, and the answer. Owns the card; yes and no are one key each. It is answered once it has stood
 * for a while: a click or a key that was on its way when it came was meant for something else.
 */

import { answerApproval } from "./api.js";
import { diffElement } from "./diff.js";
import { fill, h, mark } from "./dom.js";
import { visible } from "./format.js";
import { settling } from "./settling.js";
import { TONES } from "./words.js";

/** The card of a question, empty while there is none. */
export class ApprovalCard {
  /** @param {string} run @param {(error: unknown) => void} failed told what went wrong */
  constructor(run, failed) {
    this.run = run;
    this.failed = failed;
    this.approval = /** @type {import("./state.js").Approval | null} */ (null);
    this.busy = false;
    this.reason = h("input", { type: "text", name: "reason", autocomplete: "off", maxlength: "2000" });
    this.yes = h("button", { type: "button", class: "yes", on: { click: (/** @type {MouseEvent} */ event) => this.press(event, true) } }, "Approve ", h("kbd", {}, "a"));
    this.no = h("button", { type: "button", class: "no", on: { click: (/** @type {MouseEvent} */ event) => this.press(event, false) } }, "Decline ", h("kbd", {}, "n"));
    this.answers = h("div", { class: "answers" });
    /** @type {import("./settling.js").Settling | null} */
    this.settles = null;
    this.element = h("section", { class: "approval", hidden: true, "aria-label": "Approval" });
  }

  /** @param {import("./state.js").Run} state */
  show(state) {
    const { approval } = state;
    if (approval === this.approval) return;
    this.approval = approval;
    this.#ready(true);
    this.element.hidden = !approval;
    this.reason.value = "";
    if (!approval) return;
    fill(this.element, ...this.#content(approval, state));
    this.settles = settling(this.answers, () => this.#dim());
    this.#dim();
  }

  /**
   * A button or a key.
   * @param {{timeStamp: number, detail?: number}} event
   * @param {boolean} approved
   * @param {string} [said] instead of the typed reason
   */
  press(event, approved, said) {
    if (this.settles?.takes(event, performance.now())) this.#answer(approved, said);
  }

  /** @param {boolean} approved @param {string} [said] */
  async #answer(approved, said) {
    if (!this.approval || this.busy) return;
    this.#ready(false);
    try {
      const reason = said ?? this.reason.value.trim();
      await answerApproval(this.run, { approval: this.approval.approval, approved, reason });
    } catch (error) {
      this.#ready(true);
      this.failed(error);
    }
  }

  /** Show whether the buttons do something. */
  #dim() {
    for (const each of this.answers.querySelectorAll("button")) mark(each, "aria-disabled", String(!this.settles?.settled));
  }

  /** The buttons of one question: it settles anew. @param {...import("./dom.js").Child} children */
  #buttons(...children) {
    return (this.answers = h("div", { class: "answers" }, ...children));
  }

  /** @param {boolean} ready */
  #ready(ready) {
    this.busy = !ready;
    this.yes.disabled = this.no.disabled = !ready;
  }

  /** @param {import("./state.js").Approval} approval @param {import("./state.js").Run} state */
  #content(approval, state) {
    if (approval.gate === "behaviour") return this.#which(approval);
    const patch = approval.gate === "patch";
    return [
      h("h2", {}, patch ? "Do you want this patch?" : "Go on with this plan?"),
      h(
        "p",
        { class: "dim" },
        patch
          ? "Yes keeps it with the run; nothing in your folder is touched until it is applied. No ends the run; the patch is kept all the same."
          : "Yes goes on to tests and code. No ends the run.",
      ),
      this.#buttons(this.yes, this.no, h("label", { class: "reason" }, h("span", {}, "Reason, if you like"), this.reason)),
      patch && evidence(state),
      patch ? diffElement(approval.question) : h("pre", { class: "plan" }, visible(approval.question)),
    ];
  }

  /** One question with its answers, a button each. @param {import("./state.js").Approval} approval */
  #which(approval) {
    const choose = (/** @type {string} */ text) => h("button", { type: "button", class: "yes", on: { click: (/** @type {MouseEvent} */ event) => this.press(event, true, text) } }, visible(text));
    const none = h("button", { type: "button", class: "no", on: { click: (/** @type {MouseEvent} */ event) => this.press(event, false) } }, "None of these");
    return [
      h("h2", {}, visible(approval.question)),
      h("p", { class: "dim" }, "Candidates are split, and no test tells which is right. The answer becomes a test, which is kept with the run."),
      this.#buttons(...approval.answers.map(choose), none, h("label", { class: "reason" }, h("span", {}, "What it should give instead, such as [] or: raises ValueError"), this.reason)),
    ];
  }
}

/** What speaks for and against a patch. @param {import("./state.js").Run} state */
function evidence({ chosen, review }) {
  return h(
    "ul",
    { class: "evidence" },
    chosen && h("li", {}, h("span", { class: "chip", "data-tone": TONES[chosen.status] ?? "bad" }, chosen.status), ` ${visible(chosen.reason)}`),
    review && h("li", {}, h("span", { class: "chip", "data-tone": review.verdict === "approve" ? "good" : "warn" }, `review: ${review.verdict}`), ` ${visible(review.summary)}`),
    ...(review?.objections ?? []).map((/** @type {string} */ each) => h("li", { "data-tone": "warn" }, visible(each))),
    ...(review?.risks ?? []).map((/** @type {string} */ each) => h("li", {}, `risk: ${visible(each)}`)),
    ...(review?.findings ?? []).map((/** @type {string} */ each) => h("li", { "data-tone": "warn" }, `static check: ${visible(each)}`)),
  );
}
