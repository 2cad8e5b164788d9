/** The API key: asked for if the server requires one, and kept for this browser tab. */

import { h, one } from "./dom.js";

const KEY = "inventory.key";

/** @type {Promise<boolean>|undefined} */
let asking;

/**
 * Fetch with the key. If the server rejects it, ask for another one and send the request again: it was not applied.
 *
 * @param {string} url
 * @param {RequestInit & {headers?: Record<string, string>}} request
 * @returns {Promise<Response>}
 */
export async function send(url, { headers = {}, ...request }) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const response = await fetch(url, { ...request, headers: key ? { ...headers, "X-Api-Key": key } : headers });
    const isRejected = Boolean(response.headers.get("WWW-Authenticate")?.startsWith("ApiKey"));
    if (!isRejected) {
      showAccess(key !== null, response.headers.get("X-Api-Key-Access") === "read-only");
      return response;
    }
    // Requests that are rejected together share one dialog; later ones use its key.
    if (key === sessionStorage.getItem(KEY) && !(await (asking ??= ask(key !== null)))) return response;
  }
}

/**
 * @param {boolean} hasKey
 * @param {boolean} isReadOnly
 */
function showAccess(hasKey, isReadOnly) {
  one(document, "#change-key").hidden = !hasKey;
  document.documentElement.toggleAttribute("data-read-only", isReadOnly);
}

/**
 * Ask for a key. Return whether there is a new one.
 *
 * @param {boolean} wasWrong
 * @returns {Promise<boolean>}
 */
function ask(wasWrong) {
  const dialog = h("dialog", { "aria-labelledby": "key-title" });
  const input = h("input", { id: "key", type: "password", autocomplete: "off", "aria-describedby": "key-hint" });

  /** @param {SubmitEvent} event */
  function use(event) {
    event.preventDefault();
    const key = input.value.trim();
    // No key has other characters, and a header cannot have all of them.
    if (!/^[!-~]+$/.test(key)) return input.focus();
    sessionStorage.setItem(KEY, key);
    dialog.close("used");
  }

  dialog.append(
    h(
      "form",
      { novalidate: true, onsubmit: use },
      h("h2", { id: "key-title" }, "API key"),
      wasWrong && h("p", { class: "refusal", role: "alert" }, "The key is wrong."),
      h("div", { class: "field" }, h("label", { for: "key" }, "Key"), input),
      h("p", { class: "hint", id: "key-hint" }, "This server needs a key. It is forgotten when you close this tab."),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Use key"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      asking = undefined;
      resolve(dialog.returnValue === "used");
    });
  });
}

/** Forget the key, for the next person at this tab. */
function changeKey() {
  sessionStorage.removeItem(KEY);
  location.reload();
}

one(document, "#change-key").addEventListener("click", changeKey);
