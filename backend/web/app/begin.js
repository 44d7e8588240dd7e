/**
 * The form that begins a conversation. Owns the session that was made, or asked for, for a message which could not be sent:
 * sending it again says it there.
 */

import { sessionAddress } from "./address.js";
import { createSession, listAgents, newKey, sendMessage } from "./api.js";
import { Box } from "./box.js";
import { fill, h } from "./dom.js";
import { shortened, visible } from "./format.js";
import { SessionView } from "./session.js";

/** The view that begins a conversation. */
export class BeginView {
  /** @param {import("./main.js").Shell} shell */
  constructor(shell) {
    this.shell = shell;
    /** @type {{for: string, body: Record<string, string>, key: string, session: string} | null} asked for under the key; `session` once it is there */
    this.made = null;
    this.closed = false;
    this.folder = h("input", { name: "workspace", pattern: "(/|[A-Za-z]:).*", title: "the whole path, from the root", placeholder: "none: the agents only talk", list: "folders", autocomplete: "off", spellcheck: "false" });
    this.agent = h("select", { name: "agent" }, h("option", { value: "" }, "orchestrator: hands it to who fits"));
    this.folders = h("datalist", { id: "folders" });
    this.box = new Box("new", (message, key) => this.#send(message, key), (error) => shell.problem(error));
    this.box.text.rows = 4;
    this.box.ready(true);
    this.element = h(
      "article",
      { class: "card startcard" },
      h("h1", {}, "Talk with the agents"),
      h("p", { class: "dim" }, "They read, plan, answer, change files and run commands. What may do harm is asked first; what they write is written into the folder."),
      h("div", { class: "pair" }, h("label", {}, h("span", {}, "Folder"), this.folder), h("label", {}, h("span", {}, "Answered by"), this.agent)),
      this.box.element,
      this.folders,
    );
    this.#suggest();
    document.title = "Chat · Corral";
  }

  update() {}

  close() {
    this.closed = true;
    this.element.remove();
  }

  /** @param {string} key @returns {boolean} whether it was one of this view */
  key(key) {
    if (key !== "m") return false;
    this.box.text.focus();
    return true;
  }

  async #suggest() {
    const { runs } = this.shell.list;
    const known = new Set([...this.shell.sessions.known.map((/** @type {any} */ each) => each.workspace), ...runs.map((/** @type {any} */ each) => each.repo)]);
    fill(this.folders, ...[...known].filter(Boolean).slice(0, 20).map((folder) => h("option", { value: folder })));
    try {
      const { agents } = await listAgents();
      const others = agents.filter((/** @type {{name: string}} */ each) => each.name !== "orchestrator");
      this.agent.append(...others.map((/** @type {any} */ each) => h("option", { value: each.name }, shortened(visible(`${each.name}: ${each.about}`), 80))));
    } catch (error) {
      this.shell.problem(error, { quiet: true });
    }
  }

  /** @param {{text: string, images?: string[]}} message @param {string} key @returns {Promise<boolean>} whether it was said */
  async #send(message, key) {
    if (!this.folder.reportValidity()) return false;
    const wanted = { workspace: this.folder.value.trim(), agent: this.agent.value };
    const asked = JSON.stringify(wanted);
    if (this.made?.for !== asked) this.made = { for: asked, body: { ...wanted, title: shortened(message.text, 80) }, key: newKey(), session: "" };
    const { made } = this;
    made.session ||= (await createSession(made.body, made.key)).session;
    await sendMessage(made.session, message, key);
    if (!this.closed) this.#open(made.session);
    return true;
  }

  /** Go there at once: what is typed next is for the box there, and no key. @param {string} session */
  #open(session) {
    location.hash = sessionAddress(session);
    this.shell.route();
    if (this.shell.view instanceof SessionView) this.shell.view.box.text.focus();
  }
}
