/**
 * What is shown when the browser is no longer signed in: how to come back in.
 */

import { h } from "./dom.js";

/** @returns {HTMLElement} */
export function signedOutElement() {
  return h(
    "article",
    { class: "card signedout" },
    h("h1", {}, "You are signed out"),
    h("p", {}, "Get a one-time address in a terminal of the machine that runs Corral, and open it in this browser:"),
    h("pre", {}, h("code", {}, "corral serve")),
    h("p", { class: "dim" }, "While the server runs, the same command prints another address and ends. Each is good for five minutes and one use."),
    h(
      "form",
      { method: "post", action: "/signin", class: "password" },
      h("label", {}, h("span", {}, "Or, where this server has a password"), h("input", { type: "password", name: "password", required: true, autocomplete: "current-password" })),
      h("button", { class: "yes" }, "Sign in"),
    ),
  );
}
