/** What the page shows now: the address bar holds it, and links and the back button change it. */

import { nothing, read, write } from "./address.js";

let asked = read(location.href);
const listeners = new Set();

/** Returns what is asked now. */
export const now = () => asked;

/** Calls a function whenever something else is asked. */
export const onchange = (listener) => listeners.add(listener);

const tell = () => listeners.forEach((listener) => listener(asked));

/** Asks for something else; what is not named stays as it is. */
export function go(changes, { replace = false } = {}) {
  const next = { ...asked, ...changes };
  if (write(next) === write(asked)) return;
  const from = replace ? history.state : { from: write(asked) };
  asked = next;
  history[replace ? "replaceState" : "pushState"](from, "", write(asked));
  tell();
}

/** Asks for something else, by the back button's way where it was asked for just before. */
export function back(changes) {
  if (history.state?.from === write({ ...asked, ...changes })) history.back();
  else go(changes, { replace: true });
}

/** Asks for a search with these photos alone; filters and switches stay. */
export const searchWith = (photos) => go({ photos, open: null, view: "search" });

/** Returns a query photo of the collection. */
export const ofCollection = (id, { box = null, wanted = true } = {}) => ({ id, key: null, box, wanted });

/** Returns the photos with one of them changed, or left out. */
export const changed = (photo, values) =>
  asked.photos.flatMap((each) => (each !== photo ? [each] : values ? [{ ...each, ...values }] : []));

addEventListener("popstate", () => {
  asked = read(location.href);
  tell();
});

// A link to this page asks for something else without loading the page anew.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  if (link.origin !== location.origin || link.pathname !== "/" || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  const next = read(link.href);
  const isHome = write(next) === write(nothing());
  if (isHome && write(asked) === "/") tell();
  // Switches that were flipped since an answer's link was written stay as they are.
  const isAnswer = next.open !== null && JSON.stringify(next.photos) === JSON.stringify(asked.photos);
  go(isAnswer ? { open: next.open } : next);
  if (isHome) scrollTo({ top: 0 });
});
