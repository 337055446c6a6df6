/** What a collection without photos says of itself. */

import { addByPath, addDropped, folderField, settings } from "./adding.js";
import { icon, make } from "./dom.js";
import { pickButton } from "./pick.js";

const HERE = "Add a folder of yours. Each photo is looked at once; then any photo finds the others that show the same thing. Your files stay where they are, and nothing leaves this computer.";
const ELSEWHERE = "Add photos of yours: they are copied to the server of this page. Each is looked at once; then any photo finds the others that show the same thing.";

/** Returns the first page of an empty collection. */
export function welcome() {
  const lead = make("p", { class: "lead" }, HERE);
  // Where folders cannot be named, the server may be another computer.
  settings().then(({ folders }) => (lead.textContent = folders ? HERE : ELSEWHERE), () => {});
  const step = (number, head, text) => make("li", {}, make("b", {}, head), make("p", {}, text));
  return make(
    "section",
    { class: "greeting welcome", "aria-labelledby": "welcome-title" },
    make("h1", { id: "welcome-title" }, "This collection has no photos yet"),
    lead,
    folderField((path, isWatched) => addByPath(path, isWatched)),
    make(
      "div",
      { class: "buttons" },
      make("span", { class: "hint" }, "or drop photos and folders here, or"),
      pickButton("Choose photos", "photo", addDropped, { class: "soft", multiple: true }),
      pickButton("Choose a folder", "folder", addDropped, { class: "soft", folder: true }),
    ),
    make(
      "ol",
      { class: "steps" },
      step(1, "Add photos", "About ten a second. You can search as soon as the first ones are in."),
      step(2, "Show one", "Drop a photo of a thing, and draw a box around what matters."),
      step(3, "See why", "Points that agree are joined, and one photo is laid over the other."),
    ),
    icon("photo"),
  );
}
