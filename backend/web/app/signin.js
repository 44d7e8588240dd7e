/**
 * What is shown when the browser is no longer signed in: where to come back in. Owns that signing in again leads back to the view.
 */

import { h } from "./dom.js";

const BACK = "corral.back";

/**
 * Only the sign-in page knows whether this server has a password, and only a form of that page says where it comes from.
 * @returns {HTMLElement}
 */
export function signedOutElement() {
  keep(location.hash);
  return h(
    "article",
    { class: "card signedout" },
    h("h1", {}, "You are signed out"),
    h("p", {}, "Runs go on without you, and nothing is lost."),
    h("p", { class: "actions" }, h("a", { href: "/signin", class: "button yes" }, "Sign in again")),
  );
}

/** Go to the view that this tab was signed out of, unless the address names another. */
export function comeBack() {
  const hash = kept();
  keep("");
  if (hash && !location.hash) location.replace(hash);
}

/** @param {string} hash */
function keep(hash) {
  try {
    sessionStorage.setItem(BACK, hash);
  } catch {
    return; // a browser that keeps nothing: signing in leads to the first view
  }
}

function kept() {
  try {
    return sessionStorage.getItem(BACK) ?? "";
  } catch {
    return "";
  }
}
