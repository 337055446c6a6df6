/** Filters on metadata, date, place and name: a field for each kind of value. */

import { call } from "./api.js";
import { placeOf } from "./address.js";
import { button, fill, icon, make } from "./dom.js";
import { go, now } from "./state.js";

const TYPED = 500;
const MOST_CHOICES = 60;
const PLACE_HINT = "latitude, longitude, kilometres around";

let facts = null;
let factsVersion = null;

/** Returns what the collection's metadata hold; asked for once for each version. */
export function metadata(version) {
  if (!facts || factsVersion !== version) {
    factsVersion = version;
    facts = call("/metadata");
    facts.catch(() => (facts = null));
  }
  return facts;
}

/** A field for each name of the metadata, closed until it is wanted. */
export class FilterRows {
  constructor() {
    this.rows = make("div", { class: "rows" });
    this.words = make("span", {}, "Filter");
    this.clearer = button(null, "Clear", () => go({ filters: [], where: "" }), { class: "plain-button" });
    this.element = make(
      "details",
      { class: "filters", ontoggle: () => this.element.open && this.build() },
      make("summary", {}, icon("filter"), this.words),
      this.rows,
      this.clearer,
    );
  }

  /** Shows the filters that are asked for. */
  show(asked) {
    this.asked = asked;
    const number = new Set(asked.filters.map(({ name }) => name)).size + (asked.where ? 1 : 0);
    this.words.textContent = number ? `Filter: ${number} set` : "Filter";
    this.clearer.hidden = number === 0;
    this.element.classList.toggle("set", number > 0);
    for (const field of this.rows.querySelectorAll("[data-name]")) {
      if (field !== document.activeElement) field.value = this.valueOf(field.dataset.name, field.dataset.sign);
    }
  }

  valueOf(name, sign) {
    if (sign === "where") return this.asked.where;
    return this.asked.filters.find((each) => each.name === name && each.sign === sign)?.value ?? "";
  }

  async build() {
    let names;
    try {
      names = await metadata(this.version);
    } catch {
      names = [];
    }
    const places = names.some(({ name }) => name === "latitude") && names.some(({ name }) => name === "longitude");
    const fields = names.filter(({ name }) => name !== "latitude" && name !== "longitude").map((each) => this.fieldOf(each));
    fill(
      this.rows,
      fields,
      places && this.row("Place", this.field("place", "near", { placeholder: "48.137, 11.575, 2", inputmode: "text" }), PLACE_HINT),
      this.row("Name or folder", this.field("path", "has", { type: "search", placeholder: "a part of the path" })),
      this.row("Condition", this.field("where", "where", { placeholder: "width > 2000", spellcheck: "false" }), "SQL, for those who like it"),
    );
    this.show(this.asked ?? now());
  }

  fieldOf({ name, kind, values, least, most }) {
    if (kind === "truth") return this.row(name, this.choice(name, "truth", ["true", "false"]));
    if (kind === "text" && values && values.length <= MOST_CHOICES) return this.row(name, this.choice(name, "is", values));
    if (kind === "text") return this.row(name, this.field(name, "has", { type: "search", placeholder: "contains" }));
    const isDate = kind === "moment";
    const type = isDate ? "date" : "number";
    const shown = (value) => (isDate ? String(value ?? "").slice(0, 10) : value);
    const bounds = { type, step: "any", min: shown(least), max: shown(most) };
    const pair = [
      this.field(name, "least", { ...bounds, placeholder: shown(least), "aria-label": `${name} from` }),
      make("span", { "aria-hidden": "true" }, "–"),
      this.field(name, "most", { ...bounds, placeholder: shown(most), "aria-label": `${name} to` }),
    ];
    return make("div", { class: "row", role: "group", "aria-label": name }, make("span", { class: "row-name" }, name), make("span", { class: "bounds" }, pair));
  }

  row(name, field, hint = null) {
    const label = make("label", { class: "row" }, make("span", { class: "row-name" }, name), field);
    if (!hint) return label;
    // Beside the label and not in it: it describes the field, and is no part of its name.
    const id = `hint-${field.dataset.name}`;
    field.setAttribute("aria-describedby", id);
    return make("div", { class: "row" }, label, make("small", { id }, hint));
  }

  field(name, sign, values) {
    const type = values.type ?? "text";
    const field = make("input", { type, "data-name": name, "data-sign": sign, autocomplete: "off", ...values });
    const take = () => (sign === "near" && !this.isPlace(field) ? undefined : this.take(name, sign, field.value));
    field.addEventListener("change", take);
    if (type === "search") {
      field.addEventListener("input", () => {
        clearTimeout(this.timer);
        this.timer = setTimeout(take, TYPED);
      });
    }
    return field;
  }

  /** Returns whether a field holds a place or nothing; says what a place is where it does not. */
  isPlace(field) {
    const isRight = field.value.trim() === "" || placeOf(field.value) !== null;
    field.setAttribute("aria-invalid", String(!isRight));
    const hint = field.closest("div.row").querySelector("small");
    hint.textContent = isRight ? PLACE_HINT : "That is no place: write it as 48.137, 11.575, 2 (degrees, degrees, kilometres).";
    if (isRight) hint.removeAttribute("role");
    else hint.setAttribute("role", "alert");
    return isRight;
  }

  choice(name, sign, values) {
    const options = [make("option", { value: "" }, "any"), values.map((value) => make("option", { value }, value))];
    const field = make("select", { "data-name": name, "data-sign": sign, onchange: () => this.take(name, sign, field.value) }, options);
    return field;
  }

  take(name, sign, value) {
    clearTimeout(this.timer);
    if (sign === "where") {
      go({ where: value });
      return;
    }
    const others = now().filters.filter((each) => each.name !== name || each.sign !== sign);
    go({ filters: value.trim() === "" ? others : [...others, { name, sign, value: value.trim() }] });
  }
}
