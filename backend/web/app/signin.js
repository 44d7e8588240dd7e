/**
 * What is shown when the browser is no longer signed in: where to come back in.
 */

import { h } from "./dom.js";

/**
 * Only the sign-in page knows whether this server has a password, and only a form of that page says where it comes from.
 * @returns {HTMLElement}
 */
export function signedOutElement() {
  return h(
    "article",
    { class: "card signedout" },
    h("h1", {}, "You are signed out"),
    h("p", {}, "Runs go on without you, and nothing is lost."),
    h("p", { class: "actions" }, h("a", { href: "/signin", class: "button yes" }, "Sign in again")),
  );
}
