/**
 * The form that starts a run. Owns the draft, which a reload keeps, and the key that makes asking twice start one run.
 */

import { getPool, getRun, newKey, startRun } from "./api.js";
import { runAddress } from "./address.js";
import { fill, h } from "./dom.js";

const DRAFT = "corral.draft";

/** The view that starts a run. */
export class StartView {
  /** @param {import("./main.js").Shell} shell @param {import("./address.js").Place} place */
  constructor(shell, place) {
    this.shell = shell;
    this.wish = newKey();
    this.button = h("button", { type: "submit", class: "yes big" }, "Start");
    this.models = h("datalist", { id: "models" });
    this.repos = h("datalist", { id: "repos" });
    this.form = h("form", { class: "start", on: { submit: (/** @type {Event} */ event) => this.#submit(event), input: () => this.#changed() } }, ...this.#fields());
    this.element = h(
      "article",
      { class: "card startcard" },
      h("h1", {}, "Give a task, get a tested patch"),
      h("p", { class: "dim" }, "Corral works on a copy. Your folder is not touched until you apply the patch."),
      this.form,
    );
    this.#restore();
    this.#suggest();
    if (place.query.again) this.#again(place.query.again);
    document.title = "Corral";
  }

  /** @param {import("./address.js").Place} place */
  update(place) {
    if (place.query.again) this.#again(place.query.again);
  }

  close() {
    this.element.remove();
  }


  #fields() {
    const gate = (/** @type {string} */ name, /** @type {string} */ text) => h("label", { class: "check" }, h("input", { type: "checkbox", name: "approve", value: name }), text);
    return [
      h("label", {}, h("span", {}, "Task"), h("textarea", { name: "task", rows: "4", dir: "auto", required: true, placeholder: "What is to be changed, and how one would see that it is right" })),
      h("label", {}, h("span", {}, "Folder"), h("input", { name: "repo", required: true, pattern: "(/|[A-Za-z]:).*", title: "the whole path, from the root", placeholder: "/home/you/project", list: "repos", autocomplete: "off", spellcheck: "false" })),
      h(
        "div",
        { class: "pair" },
        h("label", {}, h("span", {}, "Model"), h("input", { name: "model", list: "models", placeholder: "as the settings say", autocomplete: "off", spellcheck: "false" })),
        h("label", {}, h("span", {}, "Test command"), h("input", { name: "test_command", placeholder: "found by itself", autocomplete: "off", spellcheck: "false" })),
        h("label", {}, h("span", {}, "Candidates"), h("input", { name: "candidates", pattern: "auto|[1-9]|1[0-6]", title: "1 to 16, or auto: as many as find an idle slot", placeholder: "as the settings say" })),
      ),
      h("fieldset", {}, h("legend", {}, "Ask me before going on with"), gate("plan", "the plan"), gate("patch", "the patch")),
      h("p", { class: "actions" }, this.button),
      this.models,
      this.repos,
    ];
  }

  #changed() {
    this.wish = newKey(); // another wish
    remember(this.#draft());
  }

  #draft() {
    const data = new FormData(this.form);
    return { ...Object.fromEntries(data), approve: data.getAll("approve") };
  }

  #restore() {
    const draft = remembered();
    if (draft) this.#put(draft);
  }

  /** @param {Record<string, any>} values */
  #put(values) {
    for (const name of ["task", "repo", "model", "test_command", "candidates"]) this.form.elements[name].value = values[name] ?? "";
    for (const box of this.form.elements.approve) box.checked = (values.approve ?? []).includes(box.value);
  }

  /** Fill in what another run was asked. @param {string} run */
  async #again(run) {
    try {
      this.#put((await getRun(run)).request);
      this.#changed();
    } catch (error) {
      this.shell.problem(error);
    }
  }

  async #suggest() {
    const repos = new Set(this.shell.list.runs.map((/** @type {{repo: string}} */ run) => run.repo));
    fill(this.repos, ...[...repos].slice(0, 20).map((repo) => h("option", { value: repo })));
    try {
      const pool = await getPool();
      const models = new Set(pool.servers.flatMap((/** @type {any} */ server) => server.models ?? []));
      fill(this.models, ...[...models].sort().map((model) => h("option", { value: String(model) })));
    } catch (error) {
      this.shell.problem(error, { quiet: true });
    }
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    this.button.disabled = true;
    try {
      const { run } = await startRun(taskOf(this.#draft()), this.wish);
      remember({ ...this.#draft(), task: "" });
      this.shell.list.refresh();
      location.hash = runAddress(run);
    } catch (error) {
      this.shell.problem(error);
    } finally {
      this.button.disabled = false;
    }
  }
}

/** What was filled in, as the server takes it; what was left open is the setting's. @param {Record<string, any>} draft */
export function taskOf(draft) {
  const task = { task: draft.task.trim(), repo: draft.repo.trim(), client: "page" };
  return {
    ...task,
    ...(draft.model ? { model: draft.model.trim() } : {}),
    ...(draft.test_command ? { test_command: draft.test_command.trim() } : {}),
    ...(draft.candidates ? { candidates: draft.candidates === "auto" ? "auto" : Number(draft.candidates) } : {}),
    ...(draft.approve.length ? { approve: draft.approve } : {}),
  };
}

/** @param {Record<string, any>} draft */
function remember(draft) {
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    return; // a browser that keeps nothing; the form works all the same
  }
}

/** @returns {Record<string, any> | null} */
function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT) ?? "null");
  } catch {
    return null;
  }
}
