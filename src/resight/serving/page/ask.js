/** The query: its photos, the box on one of them, and how the search is done. */

import { BoxedPhoto } from "./box.js";
import { button, fill, icon, make } from "./dom.js";
import { FilterRows } from "./filters.js";
import { pickButton } from "./pick.js";
import { pictureOf } from "./photos.js";
import { changed, go, now } from "./state.js";

const EXPANDED = "Search again with the best answers added to the query: finds views that the query alone does not reach.";
const VERIFIED = "Compare the first hundred answers with the query point by point, and put those that agree first.";

/** The panel beside the answers. */
export class Ask {
  /**
   * @param {(files: File[], wanted: boolean) => void} onadd Photos were picked as further ones of the query.
   * @param {HTMLElement} share The button that copies the link.
   */
  constructor(onadd, share) {
    this.onadd = onadd;
    this.stage = make("div", { class: "stage" });
    this.parts = make("p", { class: "parts" });
    this.wanted = make("div", { class: "strip", role: "group", "aria-label": "Photos of the thing" });
    this.unwanted = make("div", { class: "strip", role: "group", "aria-label": "Photos of what it must not be" });
    this.verify = switchOf("Check with geometry", VERIFIED, (on) => go({ verify: on }));
    this.expand = switchOf("Widen by the best answers", EXPANDED, (on) => go({ expand: on }));
    this.filters = new FilterRows();
    this.element = make(
      "section",
      { class: "ask", "aria-label": "Query" },
      this.stage,
      this.parts,
      this.refinement(share),
    );
    this.looked = 0;
  }

  /** Returns all that refines a search; on a narrow window it is closed, so that the answers are in sight. */
  refinement(share) {
    const isWide = matchMedia("(min-width: 861px)");
    const element = make(
      "details",
      { class: "refine", open: isWide.matches },
      make("summary", {}, "Refine this search"),
      this.wanted,
      this.unwanted,
      make("div", { class: "switches" }, this.verify.element, this.expand.element),
      this.filters.element,
      share,
    );
    isWide.addEventListener("change", () => (element.open = isWide.matches));
    return element;
  }

  /** Shows a query; `verifies` says whether the collection can be checked by geometry. */
  async show(asked, verifies) {
    this.verify.set(asked.verify && verifies, verifies ? null : "The model of this collection has no local features to check with.");
    this.expand.set(asked.expand, null);
    this.filters.show(asked);
    const photo = this.looked < asked.photos.length ? asked.photos[this.looked] : asked.photos[0];
    this.showStrips(asked, photo);
    await this.showStage(photo);
  }

  async showStage(photo) {
    const name = photo.key ?? `id-${photo.id}`;
    if (this.staged === name) {
      this.boxed?.setBox(photo.box);
      this.showParts(photo);
      return;
    }
    this.staged = name;
    let picture;
    try {
      picture = await pictureOf(photo);
    } catch (error) {
      if (this.staged !== name) return;
      this.staged = null;
      this.boxed = null;
      fill(this.stage, make("p", { class: "unshown" }, error.message));
      fill(this.parts);
      return;
    }
    if (this.staged !== name) return;
    this.boxed = new BoxedPhoto(picture, photo.box, (box) => this.setBox(name, box));
    this.boxed.onleave = () => {
      this.showParts({ box: null });
      this.parts.querySelector("button").focus();
    };
    fill(this.stage, this.boxed.element);
    this.showParts(photo);
  }

  /** Takes a box for the photo of this name, as it is in the query now. */
  setBox(name, box) {
    const photo = now().photos.find((each) => (each.key ?? `id-${each.id}`) === name);
    if (photo) go({ photos: changed(photo, { box }) });
  }

  showParts(photo) {
    const isBoxed = photo.box !== null;
    if (this.parts.childElementCount && this.partsBoxed === isBoxed) return;
    this.partsBoxed = isBoxed;
    const hadFocus = this.parts.contains(document.activeElement);
    const choose = isBoxed
      ? button("close", "Search with the whole photo", () => this.boxed?.clear(), { class: "soft" })
      : button("crop", "Choose a part", (event) => this.boxed?.begin(event.detail === 0), { class: "soft" });
    fill(this.parts, choose, make("span", { class: "hint" }, isBoxed ? "Only what is in the box counts." : "or draw a box on the photo"));
    if (hadFocus) choose.focus();
  }

  showStrips(asked, looked) {
    const several = asked.photos.length > 1;
    const entries = (wanted) =>
      asked.photos
        .filter((photo) => photo.wanted === wanted)
        .map((photo) => this.thumb(photo, photo === looked, several));
    const add = (wanted, words) =>
      pickButton(words, "plus", (files) => this.onadd(files, wanted), { class: "soft add", multiple: true });
    const [yes, no] = [entries(true), entries(false)];
    fill(this.wanted, several && yes, add(true, several ? "Another view" : "Add another view of it"));
    fill(this.unwanted, no.length > 0 && make("span", { class: "hint" }, "but not"), no, add(false, no.length ? "Another" : "Add what it must not be"));
  }

  thumb(photo, isLooked, several) {
    const image = make("img", { alt: "" });
    const held = make(
      "div",
      { class: isLooked ? "thumb looked" : "thumb" },
      make("button", { type: "button", "aria-pressed": String(isLooked), onclick: () => this.look(photo) }, image),
      several &&
        button("close", "Take it out of the query", () => go({ photos: changed(photo, null) }), { quiet: true, class: "round" }),
    );
    pictureOf(photo).then(
      ({ small, name }) => {
        image.src = small;
        held.firstElementChild.setAttribute("aria-label", `${photo.wanted ? "Show" : "Not this: show"} ${name}`);
      },
      () => held.classList.add("gone"),
    );
    held.firstElementChild.setAttribute("aria-label", "Show this photo");
    return held;
  }

  look(photo) {
    this.looked = now().photos.indexOf(photo);
    this.showStrips(now(), photo);
    this.showStage(photo);
  }
}

function switchOf(words, why, onflip) {
  const input = make("input", { type: "checkbox", role: "switch", onchange: () => onflip(input.checked) });
  const hint = make("small", {}, why);
  return {
    element: make("label", { class: "switch" }, input, make("span", { class: "knob", "aria-hidden": "true" }), make("span", {}, words, hint)),
    set(isOn, unable) {
      input.checked = isOn;
      input.disabled = unable !== null;
      hint.textContent = unable ?? why;
    },
  };
}

/** Returns the greeting of a page without a query: what can be done, and where to begin. */
export function greeting(onfiles) {
  return make(
    "section",
    { class: "greeting", "aria-labelledby": "greeting-title" },
    make("h1", { id: "greeting-title" }, "Find it again"),
    make("p", { class: "lead" }, "Show a photo of a building, a painting, a product or a place. The same thing is found in your other photos, and you see why."),
    make(
      "div",
      { class: "ways" },
      make("div", { class: "target", "aria-hidden": "true" }, icon("photo"), "Drop a photo anywhere on this page, or paste one"),
      make(
        "div",
        { class: "buttons" },
        pickButton("Choose a photo", "photo", onfiles, { class: "main", multiple: true }),
        pickButton("Take a photo", "camera", onfiles, { class: "soft camera", capture: "environment" }),
      ),
    ),
  );
}
