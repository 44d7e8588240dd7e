/**
 * What is shown where there is nothing: an address that leads nowhere, and what is no longer there.
 */

import { fill, h } from "./dom.js";

/** Put the page of what is not there in place of a view's content. @param {HTMLElement} element @param {string} what such as `There is no such run` @param {string} [why] */
export function showNothing(element, what, why = "") {
  fill(element, h("div", { class: "card" }, h("h1", {}, what), why && h("p", {}, why)));
  document.title = `${what} · Corral`;
}

/** The view of an address that leads nowhere. */
export class NowhereView {
  constructor() {
    this.element = h("article", {});
    showNothing(this.element, "There is no such page", "The address may be misspelled. All there is can be reached from the bar above.");
  }

  update() {}

  close() {
    this.element.remove();
  }
}
