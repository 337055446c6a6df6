/** Short sentences at the foot of the window. */

import { button, fill, make } from "./dom.js";

const SHOWN = 6000;
const SHOWN_WITH_ACTION = 20000;

/**
 * Shows a sentence for some seconds.
 * @param {string} sentence
 * @param {{action?: string, onaction?: () => void, bad?: boolean}} values A button with it; `bad` for what went wrong.
 */
export function notice(sentence, { action, onaction, bad } = {}) {
  const shown = make("div", { class: bad ? "notice bad" : "notice" }, make("p", {}, sentence));
  const close = () => shown.remove();
  if (action) {
    shown.append(
      button(null, action, () => {
        close();
        onaction();
      }, { class: "plain-button" }),
    );
  }
  shown.append(button("close", "Close", close, { quiet: true, class: "round" }));
  const home = document.getElementById("notices");
  // A dialog covers all else: what is said belongs on top of it.
  (document.querySelector("dialog[open] .notices") ?? home).append(shown);
  while (home.childElementCount > 3) home.firstElementChild.remove();
  setTimeout(close, action || bad ? SHOWN_WITH_ACTION : SHOWN);
}

/** Shows that the server is gone, until it is back; null: it is back. */
export function offline(sentence) {
  const shown = document.getElementById("offline");
  shown.hidden = sentence === null;
  fill(shown, sentence ?? "");
}
