/**
 * The head of a run's page: its task, where it stands, what it took, and what can be done with it.
 */

import { patchPath, steer } from "./api.js";
import { tokensOf } from "./calls.js";
import { fill, h, mark, say } from "./dom.js";
import { unguarded } from "./evidence.js";
import { duration, grouped, prose, visible } from "./format.js";
import { workedFor } from "./state.js";
import { TONES } from "./words.js";

const LINKS = {
  connecting: "connecting…",
  live: "live",
  retrying: "connection lost, trying again…",
  restarting: "the server restarts…",
  hidden: "resting while hidden",
  ended: "",
};
/** @type {Record<string, string>} */
const PHASES = { queued: "queued", running: "at work", waiting: "needs you", interrupted: "interrupted", finished: "finished" };
/** @type {Record<string, string>} */
const PHASE_TONES = { running: "live", waiting: "warn", interrupted: "warn" };

/** The head of a run. */
export class Head {
  /** @param {string} run @param {import("./main.js").Shell} shell */
  constructor(run, shell) {
    this.run = run;
    this.shell = shell;
    this.phase = "";
    /** @type {HTMLDialogElement | null} */
    this.dialog = null;
    this.task = h("h1", { class: "task" });
    this.whole = h("button", { type: "button", class: "small whole", hidden: true, on: { click: () => this.#unfold() } }, "the whole task");
    this.sizes = new ResizeObserver(() => this.#offerWhole());
    this.sizes.observe(this.task);
    this.chip = h("span", { class: "chip status" });
    this.link = h("span", { class: "link dim" });
    this.figures = h("span", { class: "figures" });
    this.repo = h("span", { class: "dim repo" });
    this.stop = h("button", { type: "button", on: { click: () => this.askToStop() } }, "Stop… ", h("kbd", {}, "."));
    this.resume = h("button", { type: "button", class: "yes", on: { click: () => this.#steer("resume") } }, "Go on");
    this.simulated = h("p", { class: "banner", role: "note", hidden: true }, "simulated: no model answers here; the answers come from a simulated Ollama");
    this.unguarded = h("p", { class: "banner", role: "note", hidden: true }, "no sandbox: generated code runs here with all the rights of whoever started Corral (sandbox.level is none)");
    this.verdict = h("div", { class: "verdict" });
    this.element = h(
      "header",
      { class: "runhead" },
      this.simulated,
      this.unguarded,
      h("div", { class: "top" }, this.chip, this.figures, this.link, h("span", { class: "space" }), this.resume, this.stop),
      this.task,
      this.whole,
      h("p", { class: "dim meta" }, h("span", { class: "id" }, run), this.repo),
      this.verdict,
    );
  }

  /** @param {{state: import("./state.js").Run, view: any, link: import("./stream.js").Link, now: number, patch: string}} shown */
  show({ state, view, link, now, patch }) {
    const status = state.finished?.status ?? "";
    this.phase = state.phase;
    say(this.task, prose(state.task));
    say(this.repo, visible(state.repo));
    say(this.chip, status || PHASES[state.phase]);
    mark(this.chip, "data-tone", status ? (TONES[status] ?? "bad") : (PHASE_TONES[state.phase] ?? "dim"));
    say(this.link, LINKS[link]);
    mark(this.link, "data-link", link);
    const { prompt, completion, calls } = tokensOf(state);
    say(this.figures, `${duration(workedFor(state, now))} · ${grouped(prompt)} + ${grouped(completion)} tokens · ${calls} calls`);
    this.simulated.hidden = !state.simulated;
    this.unguarded.hidden = !unguarded(state.tests);
    this.stop.hidden = state.phase === "finished" || state.phase === "queued";
    this.resume.hidden = state.phase !== "interrupted";
    this.#showVerdict(state, view, patch);
  }

  /** What it asks goes with it: an answer would be about another run than the one that is shown. */
  close() {
    this.dialog?.close();
    this.sizes.disconnect();
  }

  /** A long task is shown by its beginning, until a person wants all of it. */
  #unfold() {
    const open = this.task.classList.toggle("unfolded");
    say(this.whole, open ? "less of the task" : "the whole task");
  }

  #offerWhole() {
    this.whole.hidden = !this.task.classList.contains("unfolded") && this.task.scrollHeight <= this.task.clientHeight;
  }

  /** Ask how to stop: for now or for good. */
  askToStop() {
    if (this.phase === "finished" || !this.phase) return;
    this.dialog?.close();
    const dialog = h("dialog", { "aria-labelledby": "stop-title" });
    const done = (/** @type {"interrupt" | "cancel" | null} */ what) => {
      dialog.close();
      if (what) this.#steer(what);
    };
    const canRest = this.phase === "running" || this.phase === "waiting";
    dialog.append(
      h("h2", { id: "stop-title" }, "Stop this run?"),
      h(
        "div",
        { class: "choices" },
        canRest && h("button", { type: "button", on: { click: () => done("interrupt") } }, h("strong", {}, "Pause"), h("span", {}, "it can go on later, from its last step")),
        h("button", { type: "button", class: "no", on: { click: () => done("cancel") } }, h("strong", {}, "Cancel"), h("span", {}, "for good; its best patch so far is kept")),
        h("button", { type: "button", on: { click: () => done(null) } }, h("strong", {}, "Let it be")),
      ),
    );
    dialog.addEventListener("close", () => dialog.remove());
    this.dialog = dialog;
    document.body.append(dialog);
    dialog.showModal();
  }

  /** @param {"cancel" | "interrupt" | "resume"} what */
  async #steer(what) {
    try {
      await steer(this.run, what);
    } catch (error) {
      this.shell.problem(error);
    }
  }

  /** @param {import("./state.js").Run} state @param {any} view @param {string} patch */
  #showVerdict(state, view, patch) {
    const result = view?.result;
    const key = `${state.phase} ${state.finished?.seq ?? ""} ${result?.status ?? ""} ${patch.length} ${state.reason} ${state.answer.length}`;
    if (this.verdict.dataset.key === key) return;
    this.verdict.dataset.key = key;
    fill(this.verdict, ...verdictOf(state, result, patch, this.run, this.shell));
  }
}

/** @param {import("./state.js").Run} state @param {any} result @param {string} patch @param {string} run @param {import("./main.js").Shell} shell */
function verdictOf(state, result, patch, run, shell) {
  if (state.phase === "interrupted") return [h("p", {}, `Stopped: ${visible(state.reason)}. It can go on from its last step.`)];
  const answer = state.answer && h("div", { class: "card said" }, visible(state.answer));
  const { finished } = state;
  if (!finished) return [answer];
  const error = finished.error_message || result?.error?.message;
  return [
    result?.reason && h("p", { class: "because" }, visible(result.reason)),
    finished.status === "unverified" && h("p", { "data-tone": "warn" }, "No given test shows that this is right; read the patch before you use it."),
    error && h("p", { "data-tone": "bad" }, visible(`${finished.error_class || "error"}: ${error}`)),
    finished.hint && h("p", {}, `→ ${visible(finished.hint)}`),
    answer,
    patch && nextSteps(run, shell),
  ];
}

/** @param {string} run @param {import("./main.js").Shell} shell */
function nextSteps(run, shell) {
  const command = `corral apply ${run}`;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command);
      shell.tell("copied");
    } catch {
      getSelection()?.selectAllChildren(code); // no clipboard outside https and loopback
    }
  };
  const code = h("code", {}, command);
  return h(
    "p",
    { class: "next" },
    "To put the patch into the folder: ",
    code,
    h("button", { type: "button", class: "small", on: { click: copy } }, "copy"),
    h("a", { href: patchPath(run), download: `${run}.patch`, class: "button small" }, "download the patch"),
  );
}
