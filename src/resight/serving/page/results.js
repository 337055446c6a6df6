/** The answers of a search: what geometry confirms, what may be, and what is merely similar. */

import { call, thumbnail } from "./api.js";
import { count, fill, icon, make, nameOf } from "./dom.js";
import { write } from "./address.js";
import { chooser } from "./chosen.js";
import { now, ofCollection } from "./state.js";
import { Wall } from "./wall.js";

/** A few words for each verdict. */
export const WORDS = {
  confirmed: "Same thing",
  partial: "Only a part agrees",
  likely: "Perhaps",
  unlikely: "No evidence",
  unchecked: "Not checked",
};

const CAPTION = 48;

/** Returns how likely two photos show the same thing, as people say it. */
export const likelihood = (probability) =>
  probability > 0.995 ? "over 99 %" : probability < 0.005 ? "under 1 %" : `${Math.round(100 * probability)} %`;

const SECTIONS = [
  ["sure", (hit) => hit.verdict === "confirmed"],
  ["perhaps", (hit) => hit.verdict === "partial" || hit.verdict === "likely"],
  ["similar", (hit) => hit.verdict === "unlikely" || hit.verdict === "unchecked"],
];

/** Answers in up to three walls under a sentence that says what was found. */
export class Results {
  /** @param {() => void} onend The last answer is near. */
  constructor(onend) {
    this.summary = make("div", { class: "summary", role: "status" });
    this.line = make("div", { class: "working", "aria-hidden": "true" });
    this.walls = {};
    this.heads = {};
    this.parts = SECTIONS.map(([name]) => {
      const label = { sure: "Shows the same thing", perhaps: "Perhaps the same thing", similar: "Most similar photos" }[name];
      const wall = new Wall(label, (hit) => this.tile(hit), {
        below: CAPTION,
        onpick: (hit) => chooser.flip(hit),
      });
      this.walls[name] = wall;
      this.heads[name] = make("h2", {});
      return make("section", { hidden: true, class: name }, this.heads[name], wall.element);
    });
    this.end = make("div", { "aria-hidden": "true" });
    this.element = make("div", { class: "results" }, this.line, this.summary, this.parts, this.end);
    this.near = new IntersectionObserver(([entry]) => entry.isIntersecting && onend(), { rootMargin: "900px" });
    this.before = new Map();
    this.hits = [];
  }

  /** Says that a search is under way. */
  setWorking(isWorking) {
    this.element.classList.toggle("busy", isWorking);
    this.element.setAttribute("aria-busy", String(isWorking));
  }

  /**
   * Shows hits.
   * @param {Object[]} hits Without the query photos themselves.
   * @param {{searched: number, seconds: number, notes: string[], more: boolean, found: boolean|null}} answer
   * @param {{moved: Map<number, number>|null, isVerified: boolean}} values Ranks before a switch was flipped, whose
   *   changes are shown.
   */
  show(hits, answer, { moved, isVerified }) {
    this.hits = hits;
    this.before = moved;
    this.isVerified = isVerified;
    const items = hits.map((hit) => ({ ...hit, key: hit.id }));
    const groups = Object.fromEntries(SECTIONS.map(([name, fits]) => [name, items.filter(fits)]));
    SECTIONS.forEach(([name], index) => {
      this.parts[index].hidden = groups[name].length === 0;
      this.walls[name].setItems(groups[name]);
    });
    this.sayHeads(groups, isVerified);
    this.saySummary(groups, answer, isVerified);
    // A wall that was hidden had no width.
    for (const wall of Object.values(this.walls)) wall.resized();
    // Observed anew, it tells whether the end is near now.
    this.near.unobserve(this.end);
    this.near.observe(this.end);
  }

  sayHeads({ sure, perhaps }, isVerified) {
    this.heads.sure.textContent = "Shows the same thing";
    this.heads.perhaps.textContent = "Perhaps: look for yourself";
    const isAll = !sure.length && !perhaps.length;
    this.heads.similar.textContent = isVerified ? "Merely similar" : "Most similar, not checked";
    this.heads.similar.hidden = isAll && isVerified;
  }

  saySummary({ sure, perhaps, similar }, { searched, seconds, notes, more, found }, isVerified) {
    const among = `${count(searched, "photo")} searched in ${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
    let [head, text] = ["", ""];
    if (searched === 0) {
      [head, text] = ["Nothing to search", "No photo is left by the filter. Widen it, or clear it."];
    } else if (!sure.length && !perhaps.length && !similar.length) {
      [head, text] = ["Nothing here shows this", "No other photo remains."];
    } else if (!isVerified && found === false) {
      head = "Probably nothing here shows this";
      text = "The likeliest of these photos is less likely than not to show it. “Check with geometry” looks closer.";
    } else if (!isVerified) {
      head = "The most similar photos";
      text = "Similar is not the same: switch on “Check with geometry” to see which show this very thing.";
    } else if (sure.length) {
      const isOpen = more && !similar.length;
      head = `${isOpen ? "At least " : ""}${count(sure.length, "photo shows", "photos show")} the same thing`;
      text = perhaps.length ? `${count(perhaps.length, "more may", "more may")} show it.` : "";
    } else if (perhaps.length && found === false) {
      head = "Probably nothing here shows this";
      text = `In ${count(perhaps.length, "photo", "photos")} some points agree, yet the likeliest is less likely than not to show it.`;
    } else if (perhaps.length) {
      head = `${count(perhaps.length, "photo", "photos")} may show this`;
      text = "Too few points agree to be sure: look for yourself.";
    } else if (found) {
      head = "These may show it";
      text = "Geometry found no evidence, yet the best of them is likelier than not to show the same thing.";
    } else {
      head = "Nothing here shows this";
      text = "Below are the most similar photos. Geometry compared them with yours, and nothing speaks for them.";
    }
    fill(
      this.summary,
      make("h1", {}, head),
      make("p", {}, text, text && " ", make("span", { class: "soft" }, `${among}.`)),
      notes.map((note) => make("p", { class: "note" }, note)),
    );
  }

  /** Shows a sentence in place of answers. */
  fail(sentence) {
    this.hits = [];
    for (const part of this.parts) part.hidden = true;
    for (const wall of Object.values(this.walls)) wall.setItems([]);
    fill(this.summary, make("h1", {}, "That did not work"), make("p", {}, sentence));
  }

  tile(hit) {
    const words = hit.verdict === "unchecked" ? "" : WORDS[hit.verdict];
    const chance = hit.probability === null ? "" : likelihood(hit.probability);
    const numbers = hit.inliers === null ? `similarity ${hit.score.toFixed(2)}` : count(hit.inliers, "point");
    const said = [`${hit.rank}. ${nameOf(hit.path)}`, words || "not checked", chance && `${chance} likely`, numbers].filter(Boolean).join(", ");
    return make(
      "div",
      { class: `card ${hit.verdict}${chooser.has(hit.id) ? " chosen" : ""}` },
      make(
        "a",
        { class: "photo", href: write({ ...now(), open: hit.id }), "aria-label": said },
        hit.missing ? make("span", { class: "unshown" }, "The file is not here") : picture(hit.id),
        this.move(hit),
      ),
      chooser.box(hit, nameOf(hit.path)),
      make(
        "a",
        { class: "again", href: write({ ...now(), photos: [ofCollection(hit.id)], open: null }), tabindex: "-1", title: "Search with this", "aria-label": `Search with ${nameOf(hit.path)}` },
        icon("search"),
      ),
      make(
        "div",
        { class: "caption", "aria-hidden": "true" },
        make("p", {}, words && make("b", { class: "verdict" }, words), chance && make("span", { class: "chance" }, chance, make("i", {}, " likely")), make("span", {}, numbers)),
        make("p", { class: "name", title: hit.path }, nameOf(hit.path)),
      ),
    );
  }

  /** Returns how a hit's rank has changed by the last switch. */
  move(hit) {
    if (!this.before) return null;
    const was = this.before.get(hit.id);
    if (was === undefined) return make("span", { class: "move" }, "new");
    if (was === hit.rank) return null;
    return make("span", { class: was > hit.rank ? "move" : "move down" }, was > hit.rank ? `↑ ${was - hit.rank}` : `↓ ${hit.rank - was}`);
  }
}

/** Returns a thumbnail that appears when it has come; a lazy one is asked for when it comes in sight. */
export function picture(id, side = 256, isLazy = false) {
  const image = make("img", { alt: "", decoding: "async", loading: isLazy ? "lazy" : null, src: thumbnail(id, side), onerror: () => image.classList.add("broken") });
  return image;
}

/** The photos of the collection, to look at and to begin with. */
export class Browse {
  constructor() {
    this.head = make("h2", {});
    this.wall = new Wall("Photos of the collection", (photo) => this.tile(photo), {
      load: (offset, limit) => this.load(offset, limit),
      onpick: (photo) => chooser.flip(photo),
    });
    this.element = make("section", { class: "browse" }, this.head, this.wall.element);
    this.where = undefined;
  }

  /** Shows the photos that fulfil a condition, null for all. */
  async show(where, version) {
    if (this.where === where && this.version === version) return;
    [this.where, this.version] = [where, version];
    const { total, photos } = await call(this.path(0, 100));
    // Answers may overtake each other: that of an earlier condition comes too late.
    if (this.where !== where || this.version !== version) return;
    this.first = photos;
    this.head.textContent = where ? count(total, "photo fits the filter", "photos fit the filter") : "Or begin with one of yours";
    this.wall.setTotal(total);
  }

  path(offset, limit) {
    const where = this.where ? `&where=${encodeURIComponent(this.where)}` : "";
    return `/photos?offset=${offset}&limit=${limit}${where}`;
  }

  async load(offset, limit) {
    const photos = offset === 0 && this.first ? this.first : (await call(this.path(offset, limit))).photos;
    this.first = null;
    return photos.map((photo) => ({ ...photo, key: photo.id }));
  }

  tile(photo) {
    return make(
      "div",
      { class: chooser.has(photo.id) ? "card chosen" : "card" },
      make(
        "a",
        { class: "photo", href: write({ ...now(), photos: [ofCollection(photo.id)], open: null }), "aria-label": `Search with ${photo.name}`, title: photo.name },
        photo.missing ? make("span", { class: "unshown" }, photo.name, make("br"), "is not here") : picture(photo.id),
      ),
      chooser.box(photo, photo.name),
    );
  }
}
